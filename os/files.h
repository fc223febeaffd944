// Files that survive a power cut, and paths that cannot be led astray.
//
// Every function blocks, is thread-safe, and reports errno through
// ErrnoStatus with the path. None follows a symbolic link out of the directory
// it was given.
#ifndef OS_FILES_H_
#define OS_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// Writes all of `data` at the file's position.
absl::Status WriteAll(int fd, absl::string_view data, absl::string_view name);

// Replaces `path` by a file with these contents: temporary file beside it,
// fsync, rename, fsync of the directory. After a crash the file has the old or
// the new contents, never a mixture; after success it has the new ones.
absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents, mode_t mode = 0600);

// The contents of a regular file. RESOURCE_EXHAUSTED if it has more than
// `max_bytes`, FAILED_PRECONDITION if it is not a regular file.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     int64_t max_bytes);
// The same for an open file, from its start. `name` is for messages.
absl::StatusOr<std::string> ReadFd(int fd, absl::string_view name,
                                   int64_t max_bytes);

// Makes `path` and the parents that are missing, each with `mode`. OK if it is
// a directory already. Not durable: see SyncDir.
absl::Status MakeDirs(const std::string& path, mode_t mode);

// Flushes a directory's entries, so that names made in it survive.
absl::Status SyncDir(const std::string& path);

// Flushes the whole file system that holds `path`.
absl::Status SyncFs(const std::string& path);

// Removes `path` and all below it; OK if it does not exist. Uses a bounded
// number of descriptors and constant stack for any depth. Stops at a mount
// point with FAILED_PRECONDITION, having removed nothing inside it.
absl::Status RemoveTree(const std::string& path);
absl::Status RemoveTreeAt(int dir_fd, const std::string& name);

// Opens `path` as if `root_fd` were the file system's root: absolute links and
// ".." stay inside, /proc magic links are refused (openat2,
// RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS). O_CLOEXEC is added.
absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path,
                                    int flags, mode_t mode = 0);

// The names in a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path);
absl::StatusOr<std::vector<std::string>> ListDirFd(int dir_fd,
                                                   absl::string_view name);

}  // namespace bulwark::os

#endif  // OS_FILES_H_
