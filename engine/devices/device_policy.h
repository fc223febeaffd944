// What a container may do with which devices. Pure.
#ifndef ENGINE_DEVICES_DEVICE_POLICY_H_
#define ENGINE_DEVICES_DEVICE_POLICY_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace bulwark::engine {

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

// Adds rules that allow what the OCI runtime specification has every container
// have (null, zero, full, random, urandom, tty, console, ptmx and pts/*), and
// making, not using, device nodes.
void AddUsualDevices(DevicePolicy& policy);

}  // namespace bulwark::engine

#endif  // ENGINE_DEVICES_DEVICE_POLICY_H_
