#include "scheduler/services/assigner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "netmesh/ipam.h"
#include "store/objects.h"

namespace bulwark::scheduler {

absl::Status AddressAssigner::Session::Hold() {
  if (hold_ != nullptr) return absl::OkStatus();
  auto hold = std::make_unique<SlotGuard::Hold>(assigner_.guard_, "addresses");
  RETURN_IF_ERROR(assigner_.book_.Update());
  taken_ = assigner_.book_.OfReplicas(project_);
  // Containers of replicas that cannot be read may run: nobody else gets their
  // addresses.
  if (assigner_.book_.HasUnreadable(project_) && assigner_.held_ != nullptr) {
    for (SlotAddress& held : assigner_.held_()) {
      taken_.push_back(std::move(held));
    }
  }
  hold_ = std::move(hold);
  return absl::OkStatus();
}

absl::StatusOr<SlotAddress> AddressAssigner::Session::ForSlot(
    const std::string& network, const std::string& owner, int slot) {
  const std::string name = network.empty() ? "default" : network;
  auto found = store::GetObject(assigner_.store_,
                                store::ObjectKey("network", project_, name));
  if (absl::IsNotFound(found.status()) ||
      (found.ok() && found->network().status().subnet().empty())) {
    return absl::UnavailableError(
        absl::StrCat("assign an address: network ", name, " is not ready"));
  }
  if (!found.ok()) return found.status();
  const v1::NetworkStatus& status = found->network().status();
  RETURN_IF_ERROR(Hold());
  SlotAddress kept =
      KeptAddress(assigner_.book_.OfSlot(project_, owner, slot), slot, status);
  if (!kept.address.empty()) return kept;
  ASSIGN_OR_RETURN(SlotAddress address, FreeAddress(taken_, status));
  taken_.push_back(address);
  return address;
}

absl::StatusOr<std::string> AddressAssigner::Session::ForService(
    const std::string& pool) {
  RETURN_IF_ERROR(Hold());
  return netmesh::PickVirtualAddress(pool, assigner_.book_.OfServices());
}

}  // namespace bulwark::scheduler
