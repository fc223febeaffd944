#include "scheduler/replica/id_pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace bulwark::scheduler {

absl::StatusOr<netmesh::IdRange> PickIds(
    const IdPool& pool, const std::vector<netmesh::IdRange>& used) {
  std::vector<bool> taken(pool.ranges);
  const uint64_t begin = pool.first;
  for (const netmesh::IdRange& range : used) {
    const uint64_t end = uint64_t{range.first} + range.size;
    if (range.size == 0 || end <= begin) continue;
    const uint64_t last = (end - 1 - begin) / kIdsOfReplica;
    uint64_t i =
        range.first < begin ? 0 : (range.first - begin) / kIdsOfReplica;
    for (; i <= last && i < taken.size(); ++i) taken[i] = true;
  }
  const auto free = std::find(taken.begin(), taken.end(), false);
  if (free == taken.end()) {
    return absl::UnavailableError(
        absl::StrCat("choose user ids: replicas have all ", pool.ranges,
                     " ranges from ", pool.first, " on; lower --id-base"));
  }
  const auto index = static_cast<uint32_t>(free - taken.begin());
  return netmesh::IdRange{pool.first + index * kIdsOfReplica, kIdsOfReplica};
}

}  // namespace bulwark::scheduler
