// Writes tar archives (ustar, and pax where that does not suffice).
#ifndef ENGINE_IMAGE_TAR_WRITER_H_
#define ENGINE_IMAGE_TAR_WRITER_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/image/tar_entry.h"

struct archive;

namespace bulwark::engine::image {

// The same calls give the same bytes: times are written in whole seconds, and
// nothing of this host gets in. Thread-compatible.
class TarWriter {
 public:
  // Takes the next bytes; its error ends the writing, and comes back as it is.
  using Sink = std::function<absl::Status(absl::string_view)>;

  explicit TarWriter(Sink sink);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // Begins an entry. Exactly `entry.size` bytes of Data() follow for a file,
  // none for anything else. kOther is INVALID_ARGUMENT.
  absl::Status Begin(const TarEntry& entry);
  absl::Status Data(absl::string_view data);
  // Writes the end of the archive; call once, last.
  absl::Status Finish();

 private:
  static ssize_t OnData(archive* a, void* self, const void* data, size_t size);
  absl::Status Error() const;

  const Sink sink_;
  absl::Status status_;
  std::string path_;  // of the entry in work, for messages
  archive* archive_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_TAR_WRITER_H_
