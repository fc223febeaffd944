// Removes what ended replicas leave behind.
#ifndef SCHEDULER_REAP_REAPER_H_
#define SCHEDULER_REAP_REAPER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/reap/plan.h"
#include "scheduler/slot_guard.h"
#include "secrets/delivery.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Whether `store` may be the one from which `engine`'s containers were started:
// FAILED_PRECONDITION if some run, and the store holds nothing that could have
// asked for them.
absl::Status CheckStoreKnows(store::MetadataStore& store,
                             engine::Engine& engine);

// Containers first, then the sandbox of a slot that nobody uses, the record
// last: until then it says what may still be there, and holds the address.
// Thread-safe.
class Reaper {
 public:
  // Called with the key of a service or job that lost a record. Must not block.
  using Changed = std::function<void(const store::Key& owner)>;

  // The references must outlive this object.
  Reaper(store::MetadataStore& store, engine::Engine& engine,
         netmesh::Network& network, secrets::Delivery& delivery,
         SlotGuard& slots, Clock& clock, Changed changed);

  // All that can go of the service or job `key`, "KIND/PROJECT/NAME", which may
  // not exist any more.
  absl::StatusOr<Result> Reconcile(const std::string& key);

  // Once, at start, before replicas are worked on: removes containers and
  // sandboxes that no replica's record accounts for. FAILED_PRECONDITION, and
  // nothing is touched, if containers exist but the store holds nothing at all:
  // that store is not the one that started them.
  absl::Status SweepOrphans();

 private:
  absl::StatusOr<ReapPlan> Plan(const store::Key& owner,
                                std::vector<v1::Replica>& replicas);
  absl::Status Remove(const v1::Replica& replica);
  // The sandbox and address of a slot that nobody comes back to; the record and
  // its containers stay.
  absl::Status Release(const v1::Replica& replica);
  // Replicas of the same service or job, as they are now.
  absl::StatusOr<std::vector<v1::Replica>> SiblingsOf(
      const v1::Replica& replica);
  absl::Status WithdrawInputs(
      const std::function<bool(const std::string& container_id)>& belongs);
  absl::Status RemoveContainers(
      const std::function<bool(const engine::ContainerInfo&)>& belongs);

  store::MetadataStore& store_;
  engine::Engine& engine_;
  netmesh::Network& network_;
  secrets::Delivery& delivery_;
  SlotGuard& slots_;
  Clock& clock_;
  const Changed changed_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REAP_REAPER_H_
