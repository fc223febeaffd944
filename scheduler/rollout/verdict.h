// Whether a rollout has begun, succeeded or failed. Internal to the planner.
// Pure.
#ifndef SCHEDULER_ROLLOUT_VERDICT_H_
#define SCHEDULER_ROLLOUT_VERDICT_H_

#include <string>

#include "absl/time/time.h"
#include "scheduler/rollout/census.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

// Failures with no replica available that make a crash loop.
inline constexpr int kCrashLoopFailures = 3;
// How long after its completion a rollout can still be taken back.
inline constexpr absl::Duration kWatchAfterRollout = absl::Minutes(10);

// When the rollout's progress deadline ends; InfiniteFuture() if it has none
// now.
absl::Time ProgressDeadline(const Census& census);

// Why the target has to be taken back; empty: it has not.
std::string RolloutFailure(const Census& census);

bool IsComplete(const Census& census);

// "web-0-x2x4z: exited with status 1", of the replica that best tells why the
// target is not available; empty if none does.
std::string Culprit(const Census& census);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_VERDICT_H_
