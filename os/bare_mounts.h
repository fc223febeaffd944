// A mount namespace without the host's mounts.
#ifndef OS_BARE_MOUNTS_H_
#define OS_BARE_MOUNTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// In a bare namespace, an empty directory to mount a root on.
inline constexpr char kBareStage[] = "/stage";

// Makes a mount namespace and returns a descriptor of it, which keeps it. It
// has a /proc and a /sys, since nobody may mount these anew in a user namespace
// without (fs/namespace.c, mount_too_revealing()), a /dev/null, and kBareStage;
// nothing of it can be written to. Whoever copies it, to make a container, pays
// for three mounts, not for all of the host's, of which a host of containers
// has several for each. `directory` is any that there is: nothing can be seen
// there outside. Needs the rights of the host's root; errors are the kernel's.
absl::StatusOr<UniqueFd> MakeBareMounts(const std::string& directory);

}  // namespace bulwark::os

#endif  // OS_BARE_MOUNTS_H_
