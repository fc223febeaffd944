// When an ended replica is replaced. Pure.
#ifndef SCHEDULER_ROLLOUT_RESTART_H_
#define SCHEDULER_ROLLOUT_RESTART_H_

#include "absl/time/time.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// A run of this length clears the count of failures before it.
inline constexpr absl::Duration kHealthyRun = absl::Seconds(60);

// Ended, by itself or because it was told to.
bool HasEnded(const v1::Replica& replica);

// Ended by itself, and `policy` leaves it at that.
bool IsDone(const v1::Replica& replica, v1::Restart::Policy policy);

// What ended it was the replica's own doing (not a reboot, not a killed shim).
bool IsOwnFailure(const v1::Replica& replica);

struct Replacement {
  // ReplicaSpec.attempt of the replacement: 1 after the first failure.
  int attempt = 0;
  absl::Time not_before = absl::InfinitePast();
};

// What may follow `ended`, the last replica of its revision in its slot (null:
// none). The first replacement comes at once, the next after 1 s doubling to
// 60 s; a run of kHealthyRun starts anew. The jitter (up to a fifth) is drawn
// from the replica's uid, so that asking again gives the same answer. Nothing
// but the record goes in: the back-off outlives us.
Replacement ReplacementOf(const v1::Replica* ended, absl::Time now);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_RESTART_H_
