// A mount namespace without the host's mounts.
#ifndef OS_BARE_MOUNTS_H_
#define OS_BARE_MOUNTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// In a bare namespace, an empty directory to mount a root on.
inline constexpr char kBareStage[] = "/stage";

// Makes a mount namespace and returns a descriptor of it, which keeps it. It
// has a read-only root with /dev/null and kBareStage, and a /proc and a /sys:
// who has none may not mount them anew in a user namespace (fs/namespace.c,
// mount_too_revealing()), nor writable ones if these are not. Whoever copies
// it, to make a container, pays for three mounts, not for all of the host's, of
// which a host of containers has several for each. `directory` is any that
// there is: nothing can be seen there outside. Needs the rights of the host's
// root.
//   FAILED_PRECONDITION  a part of our own /proc or /sys is hidden from us,
//                        which these would show
//   others are the kernel's
absl::StatusOr<UniqueFd> MakeBareMounts(const std::string& directory);

// The place of a mount, of those in `mountinfo` (proc(5)), that hides a part of
// /proc or /sys, or keeps it from being written; empty if there is none. What
// the kernel itself puts there, such as control groups, hides nothing.
std::string HiddenPart(absl::string_view mountinfo);

}  // namespace bulwark::os

#endif  // OS_BARE_MOUNTS_H_
