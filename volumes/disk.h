// Checks, and small steps on the disk, that the drivers share.
#ifndef VOLUMES_DISK_H_
#define VOLUMES_DISK_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// What each call of a driver asks first: that the id is sound, and that the
// driver is open (FAILED_PRECONDITION).
absl::Status CheckCall(bool open, absl::string_view id);
// NOT_FOUND.
absl::Status NoSuchVolume(absl::string_view id);

// Makes a directory with this mode, whatever the umask says. OK if it is one
// already; FAILED_PRECONDITION if something else is there.
absl::Status MakeDirectory(const std::string& path, mode_t mode);

// Sorted; none if there is no such directory. Names that begin with "." are
// skipped.
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

bool Exists(const std::string& path);  // itself, not what a link names
bool IsDirectory(const std::string& path);

// Renames durably: both directories are flushed.
absl::Status MoveDurably(const std::string& from, const std::string& to);

// Moves `path` to a free name in directory `trash`, durably. OK if it does not
// exist.
absl::Status Bury(const std::string& path, const std::string& trash);
// Removes what lies in `trash`. What resists waits for the next time; its error
// is returned.
absl::Status EmptyTrash(const std::string& trash);

// Makes file or directory `staged` take the place of `content` exactly once:
// record file `record` tells by the inode whether it has happened. Afterwards a
// directory's old content lies at `staged`, a file's is gone.
absl::Status SwapOnce(const std::string& staged, const std::string& content,
                      const std::string& record);

// Of the file system at `path`.
absl::StatusOr<Usage> FileSystemUsage(const std::string& path);

}  // namespace bulwark::volumes

#endif  // VOLUMES_DISK_H_
