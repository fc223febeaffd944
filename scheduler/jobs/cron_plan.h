// The next actions for one cron job. Pure: no clock, no store, no randomness.
#ifndef SCHEDULER_JOBS_CRON_PLAN_H_
#define SCHEDULER_JOBS_CRON_PLAN_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

struct CronView {
  v1::CronJob cron_job;
  std::vector<v1::Job> jobs;  // that it owns
  // Names of all jobs of the project, whoever owns them.
  std::set<std::string> names;
  absl::Time now;
};

struct CronPlan {
  // Make the job of this time of the schedule now.
  std::optional<absl::Time> run;
  // Names of jobs to mark for deletion.
  std::vector<std::string> remove;
  // It is being deleted and owns no job any more.
  bool deleted = false;
  // In full.
  v1::CronJobStatus status;
  // `status` holds what looking again would not find: which time is next.
  bool durable_status = false;
  std::vector<PlannedEvent> events;
  // When to plan again if nothing happens before.
  absl::Time wake_at = absl::InfiniteFuture();
};

// status.next_schedule_time is the promise: that time is run, however long
// nobody looked; it is made good, and the next one promised, by the commit that
// makes the job. Of several missed times the latest alone is caught up. A new
// schedule, the end of a suspension, and a clock that was set back make a new
// promise from now on, and nothing is caught up.
//
// A time is left out if it could not be run within startingDeadline. With
// FORBID it waits while a job of this cron job runs; with REPLACE that one is
// deleted first, and the new one made when it is gone. The jitter is drawn from
// uid and time, so that asking again gives the same answer; it never reaches
// into the next time. Finished jobs beyond the history are deleted.
CronPlan PlanCronJob(const CronView& view);

// "backup-28930980": minutes since the epoch. One time of the schedule has one
// name, so that it cannot be run twice.
std::string CronRunName(absl::string_view cron_job, absl::Time time);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_JOBS_CRON_PLAN_H_
