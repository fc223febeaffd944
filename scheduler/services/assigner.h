// Gives addresses to slots and services, each to one only.
#ifndef SCHEDULER_SERVICES_ASSIGNER_H_
#define SCHEDULER_SERVICES_ASSIGNER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/services/address_book.h"
#include "scheduler/services/addresses.h"
#include "scheduler/slot_guard.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Thread-safe.
class AddressAssigner {
 public:
  // The addresses that namespaces have, whoever they are for.
  using HeldAddresses = std::function<std::vector<SlotAddress>()>;

  // `store` must outlive this object. `held` is asked where the store cannot
  // tell: while a replica's record cannot be read.
  explicit AddressAssigner(store::MetadataStore& store,
                           HeldAddresses held = nullptr)
      : store_(store), held_(std::move(held)), book_(store) {}

  // The addresses of one commit. From its first address until its end nobody
  // else is given any, so it ends right after the commit that holds what it
  // gave. Thread-compatible; blocks while another one is at it.
  class Session {
   public:
    // `assigner` must outlive the session. `project`: of the slots.
    Session(AddressAssigner& assigner, std::string project)
        : assigner_(assigner), project_(std::move(project)) {}

    // For a slot of the service or job `owner` (a uid) in `network` (empty:
    // "default"): the one that it had before, else a free one.
    //   UNAVAILABLE         the network is not ready
    //   RESOURCE_EXHAUSTED  it has no free address
    absl::StatusOr<SlotAddress> ForSlot(const std::string& network,
                                        const std::string& owner, int slot);

    // A virtual address of `pool`, a subnet.
    absl::StatusOr<std::string> ForService(const std::string& pool);

   private:
    absl::Status Hold();

    AddressAssigner& assigner_;
    const std::string project_;
    std::unique_ptr<SlotGuard::Hold> hold_;
    std::vector<SlotAddress> taken_;  // in the project, as of the hold
  };

 private:
  store::MetadataStore& store_;
  const HeldAddresses held_;
  SlotGuard guard_;
  AddressBook book_;  // of who has the hold
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_ASSIGNER_H_
