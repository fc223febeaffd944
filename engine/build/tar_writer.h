// Files of this host as entries of tar archives, for layers and for exported
// file systems.
#ifndef ENGINE_BUILD_TAR_WRITER_H_
#define ENGINE_BUILD_TAR_WRITER_H_

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/image/tar_entry.h"
#include "engine/image/tar_writer.h"

namespace bulwark::engine::build {

// The same entries give the same bytes: times are whole seconds. Paths are
// relative. Thread-compatible.
class TarWriter {
 public:
  using Write = std::function<absl::Status(absl::string_view data)>;

  // Later times of change become `latest`.
  TarWriter(Write write, absl::Time latest);
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // An empty file of root's whose name is a mark.
  absl::Status Mark(const std::string& path, const struct stat& like);
  // Whether the directory has overlayfs's attribute that hides what is below.
  absl::StatusOr<bool> Directory(const std::string& path, const struct stat& st,
                                 int fd);
  // `fd` reads the file from its start. ABORTED if it shrank meanwhile.
  absl::Status File(const std::string& path, const struct stat& st, int fd);
  absl::Status Symlink(const std::string& path, const struct stat& st,
                       const std::string& target);
  absl::Status Fifo(const std::string& path, const struct stat& st);
  // If an earlier call was for the same file, writes a hard link to it and
  // returns true; else remembers it.
  absl::StatusOr<bool> HardLink(const std::string& path, const struct stat& st);

  // Ends the archive; call once.
  absl::Status Finish() { return archive_.Finish(); }

  int64_t entries() const { return entries_; }

 private:
  image::TarEntry NewEntry(image::TarEntry::Type type, const std::string& path,
                           const struct stat& st) const;
  absl::Status Begin(const image::TarEntry& entry);
  // Copies what layers may have; true if the directory is opaque.
  static absl::StatusOr<bool> AddXattrs(int fd, const std::string& path,
                                        image::TarEntry& entry);

  const int64_t latest_;  // in seconds
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  int64_t entries_ = 0;
  image::TarWriter archive_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_TAR_WRITER_H_
