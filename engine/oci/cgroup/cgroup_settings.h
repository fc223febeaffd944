// linux.resources as the control files that say the same. Pure.
#ifndef ENGINE_OCI_CGROUP_CGROUP_SETTINGS_H_
#define ENGINE_OCI_CGROUP_CGROUP_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// One write. They are in the order in which they have to be tried; one that
// the kernel finds inconsistent with what another sets (EINVAL: a limit above
// the one with swap, a burst above the quota) is tried again after the others.
struct CgroupSetting {
  std::string controller;  // "memory"; as version 1 names it in version 1
  std::string file;        // in the group's directory
  std::string value;
  std::string field;  // of config.json, for messages
  // Instead, where `file` does not exist. Empty: there is none.
  std::string other_file;
  std::string other_value;
  // Whether it says no more than what holds without the file.
  bool missing_ok = false;
};

// What a group has that the files of version 2 mix with what is set.
struct CgroupCurrent {
  std::optional<int64_t> memory_limit;  // memory.max; -1: none
  std::optional<int64_t> cpu_quota;     // of cpu.max; -1: none
};

// INVALID_ARGUMENT for a value outside what the specification allows, or that
// version 1 cannot express (`unified` is for version 2 and left out).
absl::StatusOr<std::vector<CgroupSetting>> CgroupSettingsV1(
    const Resources& resources);

// The same for version 2. FAILED_PRECONDITION for what version 1 alone has:
// swappiness, no OOM killer, real-time, leaf weights, network classes.
absl::StatusOr<std::vector<CgroupSetting>> CgroupSettingsV2(
    const Resources& resources, const CgroupCurrent& current = {});

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_SETTINGS_H_
