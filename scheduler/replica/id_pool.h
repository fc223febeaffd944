// Ranges of user ids for replicas.
#ifndef SCHEDULER_REPLICA_ID_POOL_H_
#define SCHEDULER_REPLICA_ID_POOL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "netmesh/network.h"

namespace bulwark::scheduler {

// Where the ranges of replicas come from.
struct IdPool {
  uint32_t first = 0;
  uint32_t ranges = 0;  // 0: containers keep the host's users

  bool enabled() const { return ranges != 0; }
};

// Each replica has as many ids.
inline constexpr uint32_t kIdsOfReplica = 65536;

// The lowest range that touches none of `used`, whatever their sizes.
// UNAVAILABLE, which passes as replicas end, if there is none. Pure.
absl::StatusOr<netmesh::IdRange> PickIds(
    const IdPool& pool, const std::vector<netmesh::IdRange>& used);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_ID_POOL_H_
