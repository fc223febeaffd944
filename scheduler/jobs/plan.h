// The next actions for one job. Pure: no clock, no store, no randomness.
#ifndef SCHEDULER_JOBS_PLAN_H_
#define SCHEDULER_JOBS_PLAN_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

// All that is known of a job.
struct JobView {
  v1::Job job;
  std::vector<v1::Revision> revisions;  // of the job, in any order
  std::vector<v1::Replica> executions;  // of the job, ended ones too
  // A sentence for each dependency that is not there yet.
  std::vector<std::string> unmet;
  // Every execution should end, whatever is declared: the host goes down.
  bool shutting_down = false;
  // Why no execution may have its volumes now; empty: each may.
  std::string held;
  absl::Time now;
};

struct JobPlan {
  std::vector<NewReplica> create;
  std::vector<StopReplica> stop;
  // Uids of ended executions whose outcome `status` has counted now: their
  // records are marked in the same commit.
  std::vector<std::string> count;
  // Revisions whose record changes, in full, and names of those that nobody
  // needs.
  std::vector<v1::Revision> update;
  std::vector<std::string> prune;
  // No revision has the template that the job declares.
  bool needs_revision = false;
  // Its time to live is over: mark it for deletion.
  bool expire = false;
  // It is being deleted and owns no execution any more.
  bool deleted = false;
  // In full; only what the planner owns differs from the view's.
  v1::JobStatus status;
  // `status` holds what looking again would not find: counts, start and end.
  bool durable_status = false;
  std::vector<PlannedEvent> events;
  // When to plan again if nothing happens before.
  absl::Time wake_at = absl::InfiniteFuture();

  // Nothing to do but the status.
  bool IdleApartFromStatus() const {
    return create.empty() && stop.empty() && count.empty() && update.empty() &&
           prune.empty() && !expire;
  }
};

// Rules, in order, as Kubernetes has them unless said otherwise:
//  1. Each ended execution is counted once: as succeeded, as failed, or, if it
//     was told to stop or the host was rebooted, not at all.
//  2. The job is Complete with `completions` successes; it has Failed with more
//     than backoffLimit failures, or when activeDeadline has passed since it
//     began. Then what still runs is stopped, nothing is started any more, and
//     it is deleted after ttlAfterFinished.
//  3. A suspended job is stopped, and its deadline begins anew when it goes on.
//     So is one whose volumes are held, but its deadline goes on.
//  4. No more run at once than `parallelism`, nor than successes are missing;
//     one that is being stopped counts as running, so that no two do the work
//     of one.
//  5. After n failures in a row nothing is started for 10 s, doubling with n to
//     6 min, from the last one on. A success ends the row.
//  6. A new execution takes the lowest slot that no live one holds, and waits
//     for the job's dependencies.
JobPlan PlanJob(const JobView& view);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_JOBS_PLAN_H_
