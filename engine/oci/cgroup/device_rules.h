// linux.resources.devices as one ordered list of what a container may do with
// which devices. Pure.
#ifndef ENGINE_OCI_CGROUP_DEVICE_RULES_H_
#define ENGINE_OCI_CGROUP_DEVICE_RULES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// Bits of an access, as the kernel's filters count them.
inline constexpr uint32_t kDeviceMknod = 1;
inline constexpr uint32_t kDeviceRead = 2;
inline constexpr uint32_t kDeviceWrite = 4;
inline constexpr uint32_t kDeviceAll = 7;

// One rule about block or character devices. Absent numbers stand for all.
struct DeviceMatch {
  bool allow = false;
  bool block = false;
  std::optional<uint32_t> major;
  std::optional<uint32_t> minor;
  uint32_t access = 0;  // of the bits above
};

// For each bit of an access the last rule that matches decides, and where none
// does, `allow_others`.
struct DevicePolicy {
  bool allow_others = false;
  std::vector<DeviceMatch> rules;

  // Whether nothing is denied, so that no filter is needed.
  bool AllowsAll() const;
};

// Without rules everything is denied. Behind the rules, and so before them all,
// come the devices that the specification has every container have (null, zero,
// full, random, urandom, tty, console, ptmx and pts/*), and making, not using,
// device nodes. INVALID_ARGUMENT names the rule that is wrong.
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
