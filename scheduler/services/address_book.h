// Who has which address, as the records of replicas and services say.
#ifndef SCHEDULER_SERVICES_ADDRESS_BOOK_H_
#define SCHEDULER_SERVICES_ADDRESS_BOOK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/services/addresses.h"
#include "store/catch_up.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Kept from one look to the next, so that a look costs what has changed since.
// Must not outlive the store. Thread-compatible.
class AddressBook {
 public:
  explicit AddressBook(store::MetadataStore& store)
      : catch_up_(store, {"replica", "service"}) {}

  // Takes in all that was committed before the call. Errors are the store's.
  absl::Status Update();

  // Of the replicas of a project.
  std::vector<SlotAddress> OfReplicas(const std::string& project) const;
  // The replicas of a slot of the service or job `owner` (a uid), ended ones
  // too, with no more than slot and addresses.
  std::vector<v1::Replica> OfSlot(const std::string& project,
                                  const std::string& owner, int slot) const;
  // Whether a replica's record of the project cannot be read. Its addresses are
  // known as far as they can be.
  bool HasUnreadable(const std::string& project) const;
  // The virtual addresses of all services.
  std::vector<std::string> OfServices() const;

 private:
  struct Entry {
    v1::ReplicaSpec spec;  // of a replica: owner, slot, addresses
    // Of a service, or of a record that cannot be read.
    std::vector<std::string> addresses;
    bool unreadable = false;
  };
  using Entries = std::map<store::Key, Entry>;

  void Put(const store::Key& key, absl::string_view value, uint64_t revision);
  // The entries of `kind`, and of `project` unless it is null.
  std::vector<const Entry*> Find(const char* kind,
                                 const std::string* project) const;

  store::CatchUp catch_up_;
  Entries entries_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_ADDRESS_BOOK_H_
