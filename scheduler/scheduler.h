// The controllers that turn declared services into running containers.
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
#include "engine/engine.h"
#include "engine/images.h"
#include "netmesh/network.h"
#include "scheduler/control/informer.h"
#include "scheduler/control/runner.h"
#include "scheduler/endpoints.h"
#include "scheduler/events.h"
#include "scheduler/reap/reaper.h"
#include "scheduler/replica/controller.h"
#include "scheduler/replica/launcher.h"
#include "scheduler/services/controller.h"
#include "scheduler/services/resolver.h"
#include "scheduler/slot_guard.h"
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
  const Endpoints& endpoints;
  Clock& clock;
  Entropy& entropy;
};

struct SchedulerOptions {
  std::string virtual_pool = "10.211.0.0/16";
  std::string dns_domain = "bulwark.internal";
  int service_workers = 2;
  int replica_workers = 8;
  // Many: a registry that does not answer holds up its own images alone.
  int pull_workers = 16;
};

// Owns the queues of services, replicas, image pulls and the removal of what
// ended, and wakes them by what changes in the store. Thread-safe; Start() and
// Stop() once each.
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

  // Ends every replica, each service after those that depend on it, without
  // changing what is declared. What is left after `timeout` is killed. Returns
  // the services, "PROJECT/NAME", of which something was killed. Until the next
  // start of the daemon nothing is started any more. Blocks.
  absl::StatusOr<std::vector<std::string>> ShutdownAll(absl::Duration timeout);

  // Why leftovers were not removed; empty if they were.
  std::string degraded() const;

  // What its queues and workers do.
  std::vector<Runner::Stats> GetStats() const;

  EventRecorder& events() { return events_; }

 private:
  void OnServiceChange(const store::Change& change);
  void OnReplicaChange(const store::Change& change);
  bool IsDown(const std::string& service);
  absl::StatusOr<std::set<std::string>> LiveServices();
  absl::Status KillAll(const std::set<std::string>& services);
  std::vector<std::string> Keys(const Informer& informer) const;

  const SchedulerPorts ports_;
  SlotGuard slots_;
  EventRecorder events_;
  Launcher launcher_;
  ReplicaController replica_controller_;
  ServiceController service_controller_;
  ImageResolver resolver_;
  Reaper reaper_;

  mutable absl::Mutex mu_;
  std::map<std::string, std::string, std::less<>> replica_keys_
      ABSL_GUARDED_BY(mu_);  // by uid
  std::map<std::string, int64_t> generations_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> down_ ABSL_GUARDED_BY(mu_);
  int64_t replica_changes_ ABSL_GUARDED_BY(mu_) = 0;
  std::string degraded_ ABSL_GUARDED_BY(mu_);
  bool stopped_ = false;

  Informer services_;
  Informer replicas_;
  std::unique_ptr<Runner> service_runner_;
  std::unique_ptr<Runner> replica_runner_;
  std::unique_ptr<Runner> pull_runner_;
  std::unique_ptr<Runner> reap_runner_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SCHEDULER_H_
