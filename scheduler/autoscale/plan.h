// The next count of one autoscaled service. Pure: no clock, no store.
#ifndef SCHEDULER_AUTOSCALE_PLAN_H_
#define SCHEDULER_AUTOSCALE_PLAN_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/autoscale/capacity.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/usage/usage.h"

namespace bulwark::scheduler {

// Kubernetes' delays (5 min and a metrics window of 15 to 30 s), scaled to a
// host that samples every 2 s: in the first time after its start a replica's
// cpu counts only if it is ready, and was ready while it was measured.
inline constexpr absl::Duration kCpuInitialization = absl::Seconds(30);
// How old the metrics and the sentence of a record may become while nothing
// is decided.
inline constexpr absl::Duration kScaleRefresh = absl::Seconds(10);

// All that is known of an autoscaled service.
struct AutoscaleView {
  v1::Service service;
  // Its record; none before the first decision.
  std::optional<v1::Scale> scale;
  std::vector<v1::Replica> replicas;  // of the service, ended ones too
  // What each used lately, by uid.
  std::map<std::string, ReplicaLoad> loads;
  // Replicas that have been seen ready, by uid.
  std::set<std::string> were_ready;
  Capacity capacity;
  absl::Time now;
};

// How the new record has to be written.
enum class ScaleWrite {
  kNone,     // nothing has changed, or only what may wait
  kSoft,     // without fsync: the next decision writes it again
  kDurable,  // before anything acts on it
};

struct ScalePlan {
  // In full; its metadata is the view's.
  v1::Scale scale;
  ScaleWrite write = ScaleWrite::kNone;
  std::vector<PlannedEvent> events;
};

// The first count: what is declared, within the bounds.
int FirstCount(const v1::ServiceSpec& spec);

// Rules, in order:
//  1. A record out of the bounds is brought to the nearer one at once.
//  2. Each metric asks for a count (metric.h); the largest is what is
//     recommended. If one is not known, the others can only lead up.
//  3. The windows hold it, then the policies slow it down (limits.h), then the
//     bounds and the host's capacity end it. The capacity takes nothing away
//     that runs.
//  4. A stopped service, and one whose metrics are all unknown, stays as it is.
// What counts of a replica: nothing if it leaves or has ended; it is unready
// until its containers run and, for cpu, in its first 30 s until it is ready,
// and after them if it has never been ready.
ScalePlan PlanScale(const AutoscaleView& view);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_PLAN_H_
