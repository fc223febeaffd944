#include "scheduler/jobs/outcome.h"

#include "scheduler/conditions.h"

namespace bulwark::scheduler {
namespace {

bool Holds(const v1::Job& job, const char* type) {
  const v1::Condition* c = FindCondition(job.status().conditions(), type);
  return c != nullptr && c->status() == v1::Condition::TRUE;
}

}  // namespace

Outcome OutcomeOf(const v1::Replica& execution) {
  const v1::ReplicaStatus& status = execution.status();
  if (status.state() != v1::ReplicaStatus::FAILED ||
      status.reason() == "HostReboot") {
    return Outcome::kCutShort;
  }
  return status.reason() == "Completed" ? Outcome::kSucceeded
                                        : Outcome::kFailed;
}

bool IsCounted(const v1::Replica& execution) {
  return execution.spec().reason() == kCountedReason;
}

bool IsComplete(const v1::Job& job) { return Holds(job, "Complete"); }

bool IsFinished(const v1::Job& job) {
  return IsComplete(job) || Holds(job, "Failed");
}

}  // namespace bulwark::scheduler
