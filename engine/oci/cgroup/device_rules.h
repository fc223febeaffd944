// linux.resources.devices as a device policy, and that one as version 1 takes
// it. Pure.
#ifndef ENGINE_OCI_CGROUP_DEVICE_RULES_H_
#define ENGINE_OCI_CGROUP_DEVICE_RULES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/devices/device_policy.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// Without rules everything is denied. Behind the rules, and so before them all,
// come the usual devices. INVALID_ARGUMENT names the rule that is wrong.
absl::StatusOr<DevicePolicy> CompileDeviceRules(
    const std::vector<DeviceRule>& rules);

// One line for devices.allow or devices.deny of version 1.
struct DeviceLine {
  bool allow = false;
  std::string text;  // "c 1:3 rwm"
};

// The lines that bring a new group there. FAILED_PRECONDITION for a rule that
// takes back a part of an earlier one: version 1 keeps a set of exceptions, and
// those are taken back whole or not at all.
absl::StatusOr<std::vector<DeviceLine>> DeviceLinesV1(
    const DevicePolicy& policy);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_DEVICE_RULES_H_
