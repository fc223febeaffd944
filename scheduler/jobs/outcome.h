// How executions of jobs ended. Pure.
#ifndef SCHEDULER_JOBS_OUTCOME_H_
#define SCHEDULER_JOBS_OUTCOME_H_

#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

// ReplicaSpec.reason of an execution whose outcome is part of its job's status.
// The mark and the count are written by one durable commit: whatever dies, each
// execution is counted once, and before its record can go.
inline constexpr char kCountedReason[] = "Counted";

enum class Outcome {
  kSucceeded,
  kFailed,
  // It was told to stop, or the host went down: no fault of the job's.
  kCutShort,
};

// Of an execution that has ended.
Outcome OutcomeOf(const v1::Replica& execution);

bool IsCounted(const v1::Replica& execution);

// The job has ended: it is complete, or has failed for good.
bool IsFinished(const v1::Job& job);
bool IsComplete(const v1::Job& job);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_JOBS_OUTCOME_H_
