#include "daemon/build_users.h"

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bulwark::daemon {
namespace {

// More stages than can run at once in a network of the usual size.
constexpr uint32_t kMostRanges = 256;

}  // namespace

BuildUsers::BuildUsers(netmesh::Network& network, const scheduler::IdPool& pool)
    : network_(network) {
  pool_.ranges = std::min(kMostRanges, pool.ranges);
  pool_.first =
      pool.first + (pool.ranges - pool_.ranges) * scheduler::kIdsOfReplica;
}

absl::StatusOr<engine::build::BuildUsers> BuildUsers::Acquire() {
  engine::build::BuildUsers users;
  if (!pool_.enabled()) return users;
  absl::MutexLock lock(&mu_);
  std::vector<netmesh::IdRange> used = leased_;
  for (const netmesh::Sandbox& sandbox : network_.ListSandboxes()) {
    used.push_back(sandbox.spec.ids);
  }
  const absl::StatusOr<netmesh::IdRange> ids = scheduler::PickIds(pool_, used);
  if (!ids.ok()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "choose user ids for a build: all ", pool_.ranges, " ranges from ",
        pool_.first, " on are in use; try again when another build has ended"));
  }
  leased_.push_back(*ids);
  users.ids = {ids->first, ids->size};
  users.lease = std::shared_ptr<void>(
      nullptr, [this, ids = *ids](void*) { Release(ids); });
  return users;
}

void BuildUsers::Release(const netmesh::IdRange& ids) {
  absl::MutexLock lock(&mu_);
  leased_.erase(std::find(leased_.begin(), leased_.end(), ids));
}

}  // namespace bulwark::daemon
