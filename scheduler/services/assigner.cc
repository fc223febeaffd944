#include "scheduler/services/assigner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {

void AddressAssigner::Session::Hold() {
  if (hold_ != nullptr) return;
  hold_ = std::make_unique<SlotGuard::Hold>(assigner_.guard_, "addresses");
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
  Hold();
  if (!std::exchange(listed_, true)) {
    ASSIGN_OR_RETURN(
        auto all, store::ListReadable(assigner_.store_, "replica", project_));
    replicas_ = std::move(all.objects);
    // Their containers may run: nobody else gets their addresses.
    for (const store::Unreadable& bad : all.unreadable) {
      for (const std::string& address : AddressesIn(bad.record.value)) {
        const bool v6 = address.find(':') != std::string::npos;
        given_.push_back(v6 ? SlotAddress{"", address}
                            : SlotAddress{address, ""});
      }
    }
    if (!all.unreadable.empty() && assigner_.held_ != nullptr) {
      for (SlotAddress& held : assigner_.held_()) {
        given_.push_back(std::move(held));
      }
    }
  }
  std::vector<v1::Replica> own;
  for (const v1::Object& object : replicas_) {
    const v1::ReplicaSpec& spec = object.replica().spec();
    if (spec.service_uid() == owner && spec.slot() == slot) {
      own.push_back(object.replica());
    }
  }
  SlotAddress kept = KeptAddress(own, slot, status);
  if (!kept.address.empty()) return kept;
  ASSIGN_OR_RETURN(SlotAddress address, FreeAddress(replicas_, given_, status));
  given_.push_back(address);
  return address;
}

absl::StatusOr<std::string> AddressAssigner::Session::ForService(
    const std::string& pool) {
  Hold();
  ASSIGN_OR_RETURN(auto services,
                   store::ListReadable(assigner_.store_, "service"));
  std::vector<std::string> taken;
  for (const store::Unreadable& bad : services.unreadable) {
    for (std::string& address : AddressesIn(bad.record.value)) {
      taken.push_back(std::move(address));
    }
  }
  return FreeVirtualAddress(services.objects, taken, pool);
}

}  // namespace bulwark::scheduler
