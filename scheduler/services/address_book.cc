#include "scheduler/services/address_book.h"

#include <utility>

#include "absl/strings/match.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr char kReplica[] = "replica";
constexpr char kService[] = "service";

}  // namespace

absl::Status AddressBook::Update() {
  return catch_up_
      .Run([this] { entries_.clear(); },
           [this](const store::Key& key, absl::string_view value,
                  uint64_t revision) { Put(key, value, revision); },
           [this](const store::Key& key) { entries_.erase(key); })
      .status();
}

void AddressBook::Put(const store::Key& key, absl::string_view value,
                      uint64_t revision) {
  Entry entry;
  const absl::StatusOr<v1::Object> object = store::Decode(key, value, revision);
  if (!object.ok()) {
    entry.addresses = AddressesIn(value);
    entry.unreadable = true;
  } else if (object->has_replica()) {
    const v1::ReplicaSpec& spec = object->replica().spec();
    entry.spec.set_service_uid(spec.service_uid());
    entry.spec.set_slot(spec.slot());
    entry.spec.set_address(spec.address());
    entry.spec.set_address6(spec.address6());
  } else if (!object->service().status().virtual_address().empty()) {
    entry.addresses = {object->service().status().virtual_address()};
  }
  entries_[key] = std::move(entry);
}

std::vector<const AddressBook::Entry*> AddressBook::Find(
    const char* kind, const std::string* project) const {
  std::vector<const Entry*> found;
  for (const auto& [key, entry] : entries_) {
    if (key.kind != kind) continue;
    if (project == nullptr || key.project == *project) found.push_back(&entry);
  }
  return found;
}

std::vector<SlotAddress> AddressBook::OfReplicas(
    const std::string& project) const {
  std::vector<SlotAddress> taken;
  for (const Entry* entry : Find(kReplica, &project)) {
    for (const std::string& address : entry->addresses) {
      const bool v6 = absl::StrContains(address, ':');
      taken.push_back(v6 ? SlotAddress{"", address} : SlotAddress{address, ""});
    }
    taken.push_back({entry->spec.address(), entry->spec.address6()});
  }
  return taken;
}

std::vector<v1::Replica> AddressBook::OfSlot(const std::string& project,
                                             const std::string& owner,
                                             int slot) const {
  std::vector<v1::Replica> replicas;
  for (const Entry* entry : Find(kReplica, &project)) {
    if (entry->unreadable || entry->spec.slot() != slot ||
        entry->spec.service_uid() != owner) {
      continue;
    }
    *replicas.emplace_back().mutable_spec() = entry->spec;
  }
  return replicas;
}

bool AddressBook::HasUnreadable(const std::string& project) const {
  for (const Entry* entry : Find(kReplica, &project)) {
    if (entry->unreadable) return true;
  }
  return false;
}

std::vector<std::string> AddressBook::OfServices() const {
  std::vector<std::string> taken;
  for (const Entry* entry : Find(kService, nullptr)) {
    taken.insert(taken.end(), entry->addresses.begin(), entry->addresses.end());
  }
  return taken;
}

}  // namespace bulwark::scheduler
