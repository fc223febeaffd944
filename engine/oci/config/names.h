// The names that the specification gives to numbers of the kernel.
#ifndef ENGINE_OCI_CONFIG_NAMES_H_
#define ENGINE_OCI_CONFIG_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

// "CAP_CHOWN" -> 0. nullopt: not known here.
std::optional<int> CapabilityNumber(absl::string_view name);
// "RLIMIT_NOFILE".
std::optional<int> RlimitNumber(absl::string_view name);
std::string RlimitName(int number);
// "network" -> CLONE_NEWNET.
std::optional<uint64_t> NamespaceFlag(absl::string_view name);
// CLONE_NEWNET -> "net", as in /proc/PID/ns.
const char* NamespaceFile(uint64_t flag);
// "SCHED_BATCH", "SCHED_FLAG_RECLAIM".
std::optional<uint32_t> SchedulerPolicy(absl::string_view name);
std::optional<uint64_t> SchedulerFlag(absl::string_view name);
// "IOPRIO_CLASS_BE" with a priority.
std::optional<int> IoPriority(absl::string_view io_class, int priority);
// "SIGTERM", "TERM", "15", "SIGRTMIN+3" -> number.
std::optional<int> SignalNumber(absl::string_view name);

// All that are known, for `features`.
std::vector<std::string> CapabilityNames();
std::vector<std::string> NamespaceNames();

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_NAMES_H_
