// linux.resources of a configuration; see spec.h.
#ifndef ENGINE_OCI_CONFIG_SPEC_RESOURCES_H_
#define ENGINE_OCI_CONFIG_SPEC_RESOURCES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bulwark::engine::oci {

// linux.resources.devices: later rules win. Absent numbers, and type 'a',
// stand for all.
struct DeviceRule {
  bool allow = false;
  char type = 'a';  // 'a', 'b', 'c'
  std::optional<int64_t> major;
  std::optional<int64_t> minor;
  std::string access;  // of "rwm"
};

struct ThrottleDevice {
  int64_t major = 0;
  int64_t minor = 0;
  uint64_t rate = 0;
};

struct WeightDevice {
  int64_t major = 0;
  int64_t minor = 0;
  std::optional<uint16_t> weight;
  std::optional<uint16_t> leaf_weight;
};

// linux.resources. -1 means "no limit" where the specification says so.
struct Resources {
  std::vector<DeviceRule> devices;
  struct {
    std::optional<int64_t> limit;  // bytes
    std::optional<int64_t> reservation;
    std::optional<int64_t> swap;  // memory and swap together
    std::optional<int64_t> kernel;
    std::optional<int64_t> kernel_tcp;
    std::optional<uint64_t> swappiness;
    std::optional<bool> disable_oom_killer;
    std::optional<bool> use_hierarchy;
    std::optional<bool> check_before_update;
  } memory;
  struct {
    std::optional<uint64_t> shares;
    std::optional<int64_t> quota;  // microseconds
    std::optional<uint64_t> burst;
    std::optional<uint64_t> period;
    std::optional<int64_t> realtime_runtime;
    std::optional<uint64_t> realtime_period;
    std::optional<int64_t> idle;
    std::string cpus;
    std::string mems;
  } cpu;
  std::optional<int64_t> pids_limit;
  struct {
    std::optional<uint16_t> weight;
    std::optional<uint16_t> leaf_weight;
    std::vector<WeightDevice> weight_devices;
    std::vector<ThrottleDevice> read_bps;
    std::vector<ThrottleDevice> write_bps;
    std::vector<ThrottleDevice> read_iops;
    std::vector<ThrottleDevice> write_iops;
  } block_io;
  std::vector<std::pair<std::string, uint64_t>> hugepages;  // "2MB", bytes
  struct {
    std::optional<uint32_t> class_id;
    std::vector<std::pair<std::string, uint32_t>> priorities;
  } network;
  struct Rdma {
    std::string device;
    std::optional<uint32_t> handles;
    std::optional<uint32_t> objects;
  };
  std::vector<Rdma> rdma;
  // Files of the version 2 group, verbatim.
  std::map<std::string, std::string> unified;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_SPEC_RESOURCES_H_
