// Which records of ended replicas go. Pure.
#ifndef SCHEDULER_REAP_PLAN_H_
#define SCHEDULER_REAP_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// Failed replicas kept for each slot, and those that were stopped with a
// revision that was rolled back: their logs tell why, and the back-off and the
// crash-loop rule count the failed ones.
inline constexpr int kKeptFailures = 5;
inline constexpr absl::Duration kKeptFor = absl::Hours(1);

struct ReapPlan {
  std::vector<std::string> remove;  // names of replicas
  // Names of ended ones whose records stay, but not their slot's sandbox and
  // address: no replica comes to that slot next.
  std::vector<std::string> release;
  absl::Time wake_at = absl::InfiniteFuture();
};

// `service` is null if it does not exist. Other stopped replicas go at once,
// these when there are kKeptFailures newer ones in their slot or after
// kKeptFor; but one that the restart policy does not replace stays as long as
// the slot is its. With the service everything goes. A replacement takes the
// lowest free slot, at times another than that of the replica which it
// replaces: what nobody comes back for would keep addresses from those who need
// them. `scaled`: the count that the autoscaler has recorded (SettingsOf()).
ReapPlan PlanReap(const v1::Service* service,
                  const std::vector<v1::Replica>& replicas, absl::Time now,
                  std::optional<int> scaled = std::nullopt);

// Executions kept of each outcome while the job exists, for their logs.
inline constexpr int kKeptExecutions = 5;

// `job` is null if it does not exist. An execution goes once the job's status
// has counted it (jobs/outcome.h), except for the newest of each outcome; with
// the job everything goes.
ReapPlan PlanReapOfJob(const v1::Job* job,
                       const std::vector<v1::Replica>& replicas);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REAP_PLAN_H_
