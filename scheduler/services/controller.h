// Makes each service's replicas what its declaration asks for.
#ifndef SCHEDULER_SERVICES_CONTROLLER_H_
#define SCHEDULER_SERVICES_CONTROLLER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/services/assigner.h"
#include "store/store.h"

namespace bulwark::scheduler {

struct ServiceControllerOptions {
  std::string virtual_pool = "10.211.0.0/16";
  PlannerBug bug = PlannerBug::kNone;  // for tests of the tests
};

// Plans a service and commits the plan: new replicas, goals, revisions and the
// virtual address in one durable batch, before anything is done about them;
// status alone without fsync. Writes ServiceStatus, but for the conditions of
// the image resolver and of the publisher. Thread-safe; never blocks on
// anything but the store.
class ServiceController {
 public:
  // Keys are "PROJECT/NAME". None may block.
  struct Hooks {
    std::function<void(const std::string& replica)> replica_changed;
    // What depends on the service may have what it waits for.
    std::function<void(const std::string& service)> wake_dependents;
    // The service declares a template of which there is no revision. `anew`:
    // this declaration is seen for the first time, and waits for no back-off.
    std::function<void(const std::string& service, bool anew)> resolve;
    // Some of the service's replicas have ended.
    std::function<void(const std::string& service)> reap;
    // The host goes down, and it is this service's turn.
    std::function<bool(const std::string& service)> is_down;
    // Why no secret can be opened now; empty: they can. May be null.
    std::function<std::string()> sealed = nullptr;
    // ImageResolver::AtHand. May be null.
    std::function<std::optional<v1::Revision>(
        const v1::Object& service, const std::vector<v1::Revision>& known,
        const v1::Template& declared)>
        at_hand = nullptr;
  };

  // The references must outlive this object.
  ServiceController(store::MetadataStore& store, Clock& clock, Entropy& entropy,
                    EventRecorder& events, AddressAssigner& addresses,
                    Hooks hooks, ServiceControllerOptions options);

  absl::StatusOr<Result> Reconcile(const std::string& key);

 private:
  struct Pass;  // one plan and its execution

  absl::StatusOr<bool> RunOnce(Pass& pass);
  absl::Status Read(Pass& pass);
  // Plans; where only a revision is missing and all images are here, with it.
  void Plan(Pass& pass);
  // Adds to the pass's batch.
  absl::Status AddReplicas(Pass& pass);
  void TellOfAddresses(Pass& pass, const absl::Status& problem);
  absl::StatusOr<SlotAddress> AddressFor(Pass& pass, const NewReplica& wanted);
  absl::Status AddStops(Pass& pass);
  absl::Status AddVirtualAddress(Pass& pass);
  void AddRevisions(Pass& pass);
  absl::Status Commit(Pass& pass);
  void Announce(const Pass& pass);
  absl::Status Delete(const Pass& pass);
  // Replicas whose service is gone, or was declared anew under the same name.
  absl::Status StopOrphans(Pass& pass, const std::string& uid);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
  AddressAssigner& addresses_;
  const Hooks hooks_;
  const ServiceControllerOptions options_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_CONTROLLER_H_
