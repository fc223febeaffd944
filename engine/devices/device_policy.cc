#include "engine/devices/device_policy.h"

namespace bulwark::engine {

bool DevicePolicy::AllowsAll() const {
  if (!allow_others) return false;
  for (const DeviceMatch& rule : rules) {
    if (!rule.allow) return false;
  }
  return true;
}

void AddUsualDevices(DevicePolicy& policy) {
  // Making a node is harmless without the right to open it, and image builds
  // do it.
  for (const bool block : {false, true}) {
    policy.rules.push_back({true, block, {}, {}, kDeviceMknod});
  }
  const auto add = [&](uint32_t major, std::optional<uint32_t> minor) {
    policy.rules.push_back({true, false, major, minor, kDeviceAll});
  };
  add(136, {});  // pts/*
  add(5, 1);     // console
  add(5, 2);     // ptmx
  add(5, 0);     // tty
  add(1, 8);     // random
  add(1, 7);     // full
  add(1, 9);     // urandom
  add(1, 5);     // zero
  add(1, 3);     // null
}

}  // namespace bulwark::engine
