#include "scheduler/replica/sandbox_maker.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "scheduler/names.h"

namespace bulwark::scheduler {
namespace {

bool SameSandbox(const netmesh::SandboxSpec& a, const netmesh::SandboxSpec& b) {
  return a.network == b.network && a.address == b.address &&
         a.address6 == b.address6;
}

}  // namespace

SandboxMaker::SandboxMaker(engine::Engine& engine, netmesh::Network& network,
                           SlotGuard& slots, IdPool ids)
    : engine_(engine), network_(network), slots_(slots), ids_(ids) {}

absl::StatusOr<netmesh::Sandbox> SandboxMaker::Prepare(
    const v1::Replica& replica, netmesh::SandboxSpec spec) {
  const SlotGuard::Hold hold(slots_, spec.id);
  ASSIGN_OR_RETURN(const bool kept, Keep(replica, spec));
  if (kept || !ids_.enabled()) return network_.PrepareSandbox(spec);
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(spec.ids, Pick());
  return network_.PrepareSandbox(spec);
}

absl::StatusOr<bool> SandboxMaker::Keep(const v1::Replica& replica,
                                        netmesh::SandboxSpec& spec) {
  const std::optional<netmesh::Sandbox> old = network_.FindSandbox(spec.id);
  if (!old.has_value()) return false;
  // It keeps its ids, which are the slot's. Those of another kind, of before a
  // change of --id-base, it keeps for as long as somebody lives in it.
  const bool fits = (old->spec.ids.size != 0) == ids_.enabled();
  if (SameSandbox(old->spec, spec) && (fits || HasContainers(replica))) {
    spec.ids = old->spec.ids;
    return true;
  }
  // The slot moved to another network or address, or gets users of its own: its
  // last replica has ended, so nothing lives in the old sandbox.
  RETURN_IF_ERROR(network_.DeleteSandbox(spec.id));
  return false;
}

bool SandboxMaker::HasContainers(const v1::Replica& replica) {
  for (const engine::ContainerInfo& container : engine_.List()) {
    const auto label = container.labels.find(kReplicaLabel);
    if (label != container.labels.end() &&
        label->second == replica.metadata().uid()) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<netmesh::IdRange> SandboxMaker::Pick() {
  std::vector<netmesh::IdRange> used;
  for (const netmesh::Sandbox& other : network_.ListSandboxes()) {
    used.push_back(other.spec.ids);
  }
  return PickIds(ids_, used);
}

}  // namespace bulwark::scheduler
