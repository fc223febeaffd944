// Names of the kernel's limits and settings, as manifests write them.
#ifndef BASE_KERNEL_NAMES_H_
#define BASE_KERNEL_NAMES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark {

// RLIMIT_NOFILE for "nofile", and so on; nothing for a name that is none. Pure.
std::optional<int> ParseRlimit(absl::string_view name);

// The name of a number; the number itself if it has none.
std::string RlimitName(int resource);

// "as, core, cpu, …".
std::string RlimitNames();

// Whether "net.core.somaxconn" is the name of a setting that belongs to the
// network or IPC namespace, so that a container's own value is nobody else's.
// Dots separate its parts, unless slashes do. Pure.
bool IsNamespacedSysctl(absl::string_view name);

// What such names begin with, for messages.
inline constexpr absl::string_view kNamespacedSysctls =
    "net., fs.mqueue., kernel.shm, kernel.msg and kernel.sem";

// The file below /proc/sys of a setting: "net/core/somaxconn".
std::string SysctlPath(absl::string_view name);

}  // namespace bulwark

#endif  // BASE_KERNEL_NAMES_H_
