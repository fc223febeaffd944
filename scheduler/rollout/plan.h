// The next actions for one service. Pure: no clock, no store, no randomness.
#ifndef SCHEDULER_ROLLOUT_PLAN_H_
#define SCHEDULER_ROLLOUT_PLAN_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/planned_event.h"
#include "scheduler/rollout/inputs.h"

namespace bulwark::scheduler {

// All that is known of a service.
struct ServiceView {
  v1::Service service;
  std::vector<v1::Revision> revisions;  // of the service, in any order
  std::vector<v1::Replica> replicas;    // of the service, ended ones too
  // How many replicas the autoscaler has decided on, if it has.
  std::optional<int> scaled;
  // A sentence for each dependency that is not there yet.
  std::vector<std::string> unmet;
  // What there is of the secrets and configs that its containers read.
  InputVersions inputs;
  // A sentence: why no secret can be opened now; empty: they can.
  std::string sealed;
  // Every replica should end, whatever is declared: the host goes down.
  bool shutting_down = false;
  // Why every replica should end for a while; empty: none has to. The service
  // keeps its ports meanwhile, and new connections wait.
  std::string held;
  // Volumes that it mounts and that are for one writer.
  std::set<std::string> single_writer;
  absl::Time now;
};

struct NewReplica {
  int slot = 0;
  int64_t revision = 0;
  int attempt = 0;
  std::string reason;  // a sentence
};

struct StopReplica {
  std::string uid;
  std::string reason;  // "ScaledDown", "Replaced", "RolledBack", "Stopped", …
  bool skip_drain = false;
};

struct ServicePlan {
  std::vector<NewReplica> create;
  std::vector<StopReplica> stop;
  // Revisions whose record changes, in full.
  std::vector<v1::Revision> update;
  // Names of revisions that are older than the history.
  std::vector<std::string> prune;
  // No revision has the template that the service declares: somebody resolves
  // its images and records one. What runs goes on meanwhile.
  bool needs_revision = false;
  // The service is being deleted and owns nothing any more but revisions.
  bool deleted = false;
  // In full; only what the planner owns differs from the view's.
  v1::ServiceStatus status;
  std::vector<PlannedEvent> events;
  // When to plan again if nothing happens before.
  absl::Time wake_at = absl::InfiniteFuture();

  // Nothing to do but the status.
  bool IdleApartFromStatus() const {
    return create.empty() && stop.empty() && update.empty() && prune.empty();
  }
};

// Which bug to build in, for the tests that prove that the simulator would
// find one.
enum class PlannerBug {
  kNone,
  kIgnoresUnavailable,  // stops old replicas before new ones are available
  kDoublesSlots,        // gives a slot that a leaving replica still holds
  kForgetsSurge,        // creates all new replicas at once
  kNeverRollsBack,
};

// Rules, in order:
//  1. The revision to run is the newest with the declared template; if that
//     failed, the last good one; if there is none yet, what ran before.
//  2. A rollout begins when the dependencies are there, and is complete when
//     all replicas are available and of its revision.
//  3. It fails by its progress deadline, or by three failed replicas with none
//     available, during it or in the ten minutes after: its revision is frozen
//     and the last good one rolled out instead.
//  4. Never fewer than replicas - maxUnavailable available by our doing; never
//     more than replicas + maxSurge that are wanted. Until the new revision has
//     an available replica, failed replicas of the old one are replaced by old
//     ones.
//  5. A new replica takes the lowest slot that no live replica holds, waiting
//     for that slot's back-off.
ServicePlan PlanService(const ServiceView& view,
                        PlannerBug bug = PlannerBug::kNone);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_PLAN_H_
