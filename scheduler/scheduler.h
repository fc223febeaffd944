// The controllers that turn declared services and jobs into running containers.
#ifndef SCHEDULER_SCHEDULER_H_
#define SCHEDULER_SCHEDULER_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/graph.h"
#include "engine/engine.h"
#include "engine/images.h"
#include "netmesh/network.h"
#include "scheduler/autoscale/controller.h"
#include "scheduler/control/informer.h"
#include "scheduler/control/runner.h"
#include "scheduler/endpoints.h"
#include "scheduler/events.h"
#include "scheduler/imageupdate/controller.h"
#include "scheduler/jobs/controller.h"
#include "scheduler/jobs/cron_controller.h"
#include "scheduler/reap/reaper.h"
#include "scheduler/replica/controller.h"
#include "scheduler/replica/id_pool.h"
#include "scheduler/replica/launcher.h"
#include "scheduler/services/assigner.h"
#include "scheduler/services/controller.h"
#include "scheduler/services/resolver.h"
#include "scheduler/slot_guard.h"
#include "secrets/delivery.h"
#include "secrets/reads.h"
#include "secrets/secrets.h"
#include "store/store.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

// What the scheduler works with. All of it outlives the scheduler.
struct SchedulerPorts {
  store::MetadataStore& store;
  engine::Engine& engine;  // recovered already
  engine::Images& images;
  netmesh::Network& network;  // recovered already
  volumes::Volumes& volumes;
  secrets::Vault& vault;
  secrets::Delivery& delivery;
  const Endpoints& endpoints;
  Clock& clock;
  Entropy& entropy;
  // What replicas use; without it nothing is autoscaled.
  AutoscaleController::Samples samples = [] {
    return std::vector<UsageSamplePtr>();
  };
  // Is told which secrets containers read. Without it nobody is.
  secrets::RecordReads record_reads = [](const secrets::SecretReads&) {
    return absl::OkStatus();
  };
  // Is told which images were updated. Without it nobody is.
  ImageUpdateController::Told record_update =
      [](const v1::ObjectReference&, int64_t, const std::string&) {};
};

struct SchedulerOptions {
  std::string virtual_pool = "10.211.0.0/16";
  std::string dns_domain = "bulwark.internal";
  IdPool ids;
  int service_workers = 2;
  int replica_workers = 8;
  int job_workers = 2;
  // Many: a registry that does not answer holds up its own images alone.
  int pull_workers = 16;
  int job_pull_workers = 8;
  int image_update_workers = 4;
};

// Owns the queues of services, jobs, cron jobs, replicas, image pulls,
// autoscalers, image updates and the removal of what ended, and wakes them by
// what changes in the store.
// Thread-safe; Start() and Stop() once each.
class Scheduler {
 public:
  Scheduler(SchedulerPorts ports, SchedulerOptions options);
  ~Scheduler();  // stops

  // Removes leftovers, looks once at every replica (so that nothing is decided
  // on the state of before a crash or reboot), then starts to work. Errors are
  // the store's. What SweepOrphans() refused, degraded() says.
  absl::Status Start();
  // Ends no container: they run on without us.
  void Stop();

  // Hints: something about this container changed; the data plane knows
  // something new about this replica. Any thread; do not block.
  void OnEngineEvent(absl::string_view container_id);
  void OnEndpointsChanged(const std::string& replica_uid);
  // Something that the service "PROJECT/NAME" mounts has changed.
  void OnMountsChanged(const std::string& service);
  void OnJobMountsChanged(const std::string& job);
  // Secrets can be opened again.
  void OnUnsealed();

  // Ends every replica, each service or job after those that depend on it,
  // without changing what is declared. What is left after `timeout` is killed.
  // Returns the services, "PROJECT/NAME", and jobs, "job/PROJECT/NAME", of
  // which something was killed. Until the next start of the daemon nothing is
  // started any more. Blocks.
  absl::StatusOr<std::vector<std::string>> ShutdownAll(absl::Duration timeout);

  // Why leftovers were not removed; empty if they were.
  std::string degraded() const;

  // What its queues and workers do.
  std::vector<Runner::Stats> GetStats() const;

  EventRecorder& events() { return events_; }

 private:
  void MakeRunners(const SchedulerOptions& options);
  void OnOwnerChange(const store::Change& change);
  void OnCronJobChange(const store::Change& change);
  void OnReplicaChange(const store::Change& change);
  // `key`: "KIND/PROJECT/NAME".
  void Wake(const std::string& key,
            absl::Duration delay = absl::ZeroDuration());
  void WakeOwner(const v1::Replica& replica);
  void WakeDependents(const char* kind, const std::string& key);
  bool IsDown(const std::string& key);
  std::vector<SlotAddress> HeldAddresses() const;
  absl::StatusOr<DependencyGraph> Owners();
  absl::StatusOr<std::set<std::string>> LiveOwners();
  absl::Status KillAll(const std::set<std::string>& owners);
  // A secret or config got another version, came or went.
  void OnInputChange(const store::Change& change);
  std::vector<std::string> Keys(const Informer& informer) const;

  const SchedulerPorts ports_;
  SlotGuard slots_;
  EventRecorder events_;
  AddressAssigner addresses_;
  Launcher launcher_;
  ReplicaController replica_controller_;
  ServiceController service_controller_;
  JobController job_controller_;
  CronController cron_controller_;
  ImageResolver resolver_;
  ImageResolver job_resolver_;
  Reaper reaper_;
  AutoscaleController autoscaler_;
  ImageUpdateController image_updater_;

  mutable absl::Mutex mu_;
  std::map<std::string, std::string, std::less<>> replica_keys_
      ABSL_GUARDED_BY(mu_);  // by uid
  std::map<std::string, int64_t> generations_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> down_ ABSL_GUARDED_BY(mu_);
  int64_t replica_changes_ ABSL_GUARDED_BY(mu_) = 0;
  std::string degraded_ ABSL_GUARDED_BY(mu_);
  bool stopped_ = false;

  Informer services_;
  Informer jobs_;
  Informer cron_jobs_;
  Informer replicas_;
  Informer secrets_;
  Informer configs_;
  std::unique_ptr<Runner> service_runner_;
  std::unique_ptr<Runner> job_runner_;
  std::unique_ptr<Runner> cron_runner_;
  std::unique_ptr<Runner> replica_runner_;
  std::unique_ptr<Runner> pull_runner_;
  std::unique_ptr<Runner> job_pull_runner_;
  std::unique_ptr<Runner> reap_runner_;
  std::unique_ptr<Runner> autoscale_runner_;
  std::unique_ptr<Runner> image_update_runner_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SCHEDULER_H_
