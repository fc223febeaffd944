// Which devices a container may use: a filter of its control group, which
// denies all but the usual ones and those that it is given.
#ifndef ENGINE_LOCAL_DEVICES_H_
#define ENGINE_LOCAL_DEVICES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "engine/container_spec.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

// One node.
struct FoundDevice {
  bool block = false;
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string access;
};

// The nodes that `devices` name, those in folders too (some levels deep, and a
// few hundred). INVALID_ARGUMENT says which is not there or is no device.
absl::StatusOr<std::vector<FoundDevice>> FindDevices(
    const std::vector<DeviceMount>& devices);

// Those of `devices` that are nodes, by path, for the launch's plan.
std::map<std::string, DeviceNode> NodesOf(
    const std::vector<DeviceMount>& devices);

// Thread-safe once made.
class DeviceFilter {
 public:
  // Loads the filter of containers that are given nothing. A kernel without
  // such filters is no error here: those containers have no nodes and may make
  // none. It is logged.
  void Prepare();

  // For the group in the directory `cgroup`, for as long as it exists.
  // FAILED_PRECONDITION if devices are given and the kernel has no filters.
  absl::Status Apply(const std::vector<FoundDevice>& devices,
                     const std::string& cgroup) const;

 private:
  UniqueFd usual_;
  absl::Status available_ = absl::UnavailableError("not loaded");
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_DEVICES_H_
