// Tar archives as a sequence of entries (v7, ustar, pax, GNU), through
// libarchive. Nothing in an entry is to be trusted.
#ifndef ENGINE_IMAGE_TAR_READER_H_
#define ENGINE_IMAGE_TAR_READER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/byte_source.h"
#include "engine/image/tar_entry.h"

struct archive;

namespace bulwark::engine::image {

// Thread-compatible.
class TarReader {
 public:
  // `source` is borrowed. It must not be compressed, or, with `xz_or_bzip2`,
  // may be so in these ways.
  explicit TarReader(ByteSource* source, bool xz_or_bzip2 = false);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry; false at the end of the archive. DATA_LOSS if the archive
  // is damaged; an error of the source comes back as it is.
  absl::StatusOr<bool> Next(TarEntry* entry);

  // Hands the contents of the current entry to `write(offset, data)`, in
  // order; holes are left out. Stops at its first error.
  absl::Status ReadData(
      const std::function<absl::Status(int64_t, absl::string_view)>& write);

 private:
  struct Stream;
  absl::Status Error() const;

  std::unique_ptr<Stream> stream_;
  archive* archive_;
  bool opened_ = false;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_TAR_READER_H_
