// A service's replicas, sorted by what they mean to its rollout. Internal to
// the planner. Pure.
#ifndef SCHEDULER_ROLLOUT_CENSUS_H_
#define SCHEDULER_ROLLOUT_CENSUS_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

// Points into the view that it was made of.
struct Census {
  RolloutSettings settings;
  absl::Time now;

  // A sentence for each secret or config that its containers read in vain.
  std::vector<std::string> missing;
  // The newest revision with the declared template; null: none yet, or
  // something is missing.
  const v1::Revision* desired = nullptr;
  // The one to run; null: none yet.
  const v1::Revision* target = nullptr;
  // The last good one other than the target, not failed; null: none.
  const v1::Revision* fallback = nullptr;
  // `target` has begun to be rolled out, and nothing else since.
  bool begun = false;
  // … and was then fully available.
  bool complete = false;

  // Wanted and not ended.
  std::vector<const v1::Replica*> fresh;  // of the target
  std::vector<const v1::Replica*> old;    // of any other revision
  // Told to stop, not ended: still holds its slot.
  std::vector<const v1::Replica*> leaving;
  // Slots whose last replica of the target has ended for good (by the restart
  // policy) and is not replaced.
  std::set<int> done;
  // Slots that a live replica holds.
  std::set<int> occupied;
  // (slot, revision) -> the replica that ended last there.
  std::map<std::pair<int, int64_t>, const v1::Replica*> last_ended;
  // Replicas of the target that failed by themselves since it began.
  int failures = 0;
};

Census TakeCensus(const ServiceView& view);

// Wanted, running, and ready for min_healthy_time.
bool IsAvailable(const v1::Replica& replica, const Census& census);
int CountAvailable(const std::vector<const v1::Replica*>& replicas,
                   const Census& census);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_CENSUS_H_
