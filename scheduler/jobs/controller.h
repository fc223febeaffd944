// Makes each job's executions what its declaration asks for.
#ifndef SCHEDULER_JOBS_CONTROLLER_H_
#define SCHEDULER_JOBS_CONTROLLER_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/jobs/plan.h"
#include "scheduler/services/assigner.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Plans a job and commits the plan: new executions, goals and counts in one
// durable batch, before anything is done about them; other status without
// fsync. Writes JobStatus, but for the conditions of the image resolver.
// Thread-safe; never blocks on anything but the store.
class JobController {
 public:
  // Keys are "PROJECT/NAME". None may block.
  struct Hooks {
    std::function<void(const std::string& replica)> replica_changed;
    // What depends on the job may have what it waits for.
    std::function<void(const std::string& job)> wake_dependents;
    // The job declares a template of which there is no revision.
    std::function<void(const std::string& job)> resolve;
    // Some of the job's executions have ended.
    std::function<void(const std::string& job)> reap;
    // The host goes down, and it is this job's turn.
    std::function<bool(const std::string& job)> is_down;
  };

  // The references must outlive this object.
  JobController(store::MetadataStore& store, Clock& clock, Entropy& entropy,
                EventRecorder& events, AddressAssigner& addresses, Hooks hooks);

  absl::StatusOr<Result> Reconcile(const std::string& key);

 private:
  struct Pass;  // one plan and its execution

  absl::StatusOr<bool> RunOnce(Pass& pass);
  absl::Status Read(Pass& pass);
  absl::StatusOr<std::string> HeldFor(const store::Key& key,
                                      const JobView& view);
  // Adds to the pass's batch.
  absl::Status AddExecutions(Pass& pass);
  void AddExecution(Pass& pass, const NewReplica& wanted,
                    const SlotAddress& address);
  void AddMarks(Pass& pass);
  void AddRevisions(Pass& pass);
  absl::Status Commit(Pass& pass);
  void Announce(const Pass& pass);
  absl::Status Delete(const Pass& pass);
  // Executions whose job is gone, or was declared anew under the same name.
  absl::Status StopOrphans(Pass& pass, const std::string& uid);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
  AddressAssigner& addresses_;
  const Hooks hooks_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_JOBS_CONTROLLER_H_
