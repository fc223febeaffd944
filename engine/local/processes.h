// The processes of a container, as the kernel tells of them.
#ifndef ENGINE_LOCAL_PROCESSES_H_
#define ENGINE_LOCAL_PROCESSES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/container_access.h"

namespace bulwark::engine {

// Ids of a user namespace: `count` from `inside` on are `outside` on the host.
struct IdExtent {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 0;
};

// The text of /proc/PID/uid_map. Lines that are not understood are left out.
std::vector<IdExtent> ParseIdMap(absl::string_view text);
// 65534 for an id that the namespace does not have.
uint32_t ToInside(const std::vector<IdExtent>& map, uint32_t outside);
uint32_t ToOutside(const std::vector<IdExtent>& map, uint32_t inside);

// Those in the control group `group` and below, `init` first. Those that end
// meanwhile are left out.
absl::StatusOr<std::vector<ContainerProcess>> ReadProcesses(
    const std::string& group, int init);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_PROCESSES_H_
