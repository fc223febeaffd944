// Makes the jobs of cron jobs at their times.
#ifndef SCHEDULER_JOBS_CRON_CONTROLLER_H_
#define SCHEDULER_JOBS_CRON_CONTROLLER_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/jobs/cron_plan.h"
#include "store/store.h"

namespace bulwark::scheduler {

// A job is made, and its time noted as run, in one durable commit: no time is
// run twice or lost, whatever dies. Writes CronJobStatus. Thread-safe; never
// blocks on anything but the store.
class CronController {
 public:
  // The references must outlive this object.
  CronController(store::MetadataStore& store, Clock& clock, Entropy& entropy,
                 EventRecorder& events);

  // `key`: "PROJECT/NAME". Jobs of a cron job that does not exist (any more) go
  // too.
  absl::StatusOr<Result> Reconcile(const std::string& key);

 private:
  struct Pass;  // one plan and its execution

  absl::Status RunOnce(Pass& pass);
  absl::Status ReadJobs(Pass& pass, const std::string& uid);
  void AddJob(Pass& pass);
  void AddRemovals(Pass& pass);
  absl::Status Commit(Pass& pass);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_JOBS_CRON_CONTROLLER_H_
