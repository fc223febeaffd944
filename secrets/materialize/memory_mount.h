// The file system in memory that holds the files of an instance.
#ifndef SECRETS_MATERIALIZE_MEMORY_MOUNT_H_
#define SECRETS_MATERIALIZE_MEMORY_MOUNT_H_

#include <string>

#include "absl/status/status.h"

namespace bulwark::secrets {

// Makes `path` (absolute, mode 0700) a mount of a tmpfs that is never swapped
// out (Linux 6.4), else, or without `tmpfs`, of a ramfs, which cannot be; it
// stays if it is one already. FAILED_PRECONDITION if something else is mounted
// there.
absl::Status EnsureMemoryMount(const std::string& path, bool tmpfs = true);

// Takes the mount away, with all that is in it; containers that hold some of it
// keep that. OK if there is none.
absl::Status RemoveMemoryMount(const std::string& path);

}  // namespace bulwark::secrets

#endif  // SECRETS_MATERIALIZE_MEMORY_MOUNT_H_
