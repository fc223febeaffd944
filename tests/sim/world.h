// A host without a host: the real controllers of the scheduler, single-stepped,
// over a store, an engine, images, a network and a clock in memory.
#ifndef TESTS_SIM_WORLD_H_
#define TESTS_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/images/fake_images.h"
#include "netmesh/fake/fake_network.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/endpoints.h"
#include "scheduler/events.h"
#include "scheduler/imageupdate/controller.h"
#include "scheduler/jobs/controller.h"
#include "scheduler/jobs/cron_controller.h"
#include "scheduler/reap/reaper.h"
#include "scheduler/replica/controller.h"
#include "scheduler/replica/launcher.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/services/assigner.h"
#include "scheduler/services/controller.h"
#include "scheduler/services/resolver.h"
#include "scheduler/slot_guard.h"
#include "secrets/fake/fake_delivery.h"
#include "secrets/fake/fake_vault.h"
#include "store/mem/mem_store.h"
#include "volumes/fake/fake_volumes.h"

namespace bulwark::sim {

// What a container of an image does.
struct Behavior {
  absl::Duration ready_after = absl::Milliseconds(300);  // infinite: never
  absl::Duration exit_after = absl::InfiniteDuration();
  int exit_code = 1;
};

// The data plane as the controllers see it: a replica is out, and without
// connections, one publication after it began to drain.
class SimDataPlane final : public scheduler::Endpoints {
 public:
  bool IsOut(absl::string_view uid) const override {
    return out_.contains(std::string(uid));
  }
  int64_t ActiveConnections(absl::string_view uid) const override {
    auto it = active_.find(std::string(uid));
    return it == active_.end() ? 0 : it->second;
  }
  void SetOut(const std::string& uid) { out_.insert(uid); }
  void SetActive(const std::string& uid, int64_t n) { active_[uid] = n; }

 private:
  std::set<std::string> out_;
  std::map<std::string, int64_t> active_;
};

// Not thread-safe: everything happens on the caller's thread, in an order that
// follows from the seed alone.
class World {
 public:
  explicit World(uint64_t seed,
                 scheduler::PlannerBug bug = scheduler::PlannerBug::kNone);
  ~World();

  // What users do. `image` becomes the only container's.
  static v1::Service MakeService(const std::string& name,
                                 const std::string& image, int replicas);
  void Apply(v1::Service service);
  // A service, job or cron job.
  void ApplyObject(v1::Object object);
  void Delete(const std::string& name, const std::string& kind = "service");
  // What an autoscaler decides: the count, which the bounds may not allow.
  void Decide(const std::string& name, int count);
  // A higher version moves the tag: another image stands behind it.
  void Publish(const std::string& image, Behavior behavior, int version = 1);
  // What an apply of the unchanged service does with `pull: always`.
  void AskForImages(const std::string& service);

  // Runs one ready key, chosen by the seed. False if there is none.
  bool StepOnce();
  // Runs until nothing is ready at this instant. Dies after too many steps.
  void Settle();
  // Time passes, and what falls due is run.
  void Advance(absl::Duration d);
  // Advances up to `limit`, until `done`. Returns whether it came.
  bool AdvanceUntil(absl::Duration limit, const std::function<bool()>& done);

  // Everything in the daemon's memory is lost; it starts again.
  void CrashDaemon();
  // The same, and every container and sandbox is gone.
  void Reboot();

  std::optional<v1::Service> GetService(const std::string& name);
  std::vector<v1::Replica> Replicas(const std::string& service);
  // Those wanted and not ended.
  std::vector<v1::Replica> Live(const std::string& service);
  std::vector<v1::Revision> Revisions(const std::string& service);
  std::vector<v1::Event> Events(const std::string& reason);
  int Available(const std::string& service);
  // The autoscaler's last decision, if the service has one.
  std::optional<int> Scaled(const std::string& service);
  // How many replicas should run.
  int Wanted(const std::string& service);
  const v1::Condition* Condition(const std::string& service,
                                 const std::string& type);
  // Ends a running container, as a crash of its process does. False if there
  // is none.
  bool CrashOneContainer(Entropy& random);
  // What the controllers know of the service.
  scheduler::ServiceView View(const std::string& service);

  // Meets every commit of the controllers (not those of users and probes).
  void SetFault(store::MemStore::Fault fault);

  // Called after every step; for invariants.
  std::function<void()> after_step;

  testing::FakeClock clock;
  SeededEntropy entropy;
  store::MemStore store;
  engine::FakeEngine engine;
  engine::FakeImages images;
  netmesh::FakeNetwork network;
  volumes::FakeVolumes volumes;
  secrets::FakeVault vault;
  secrets::FakeDelivery delivery{vault};
  SimDataPlane data_plane;
  int64_t steps = 0;

 private:
  enum class Queue {
    kService,
    kReplica,
    kPull,
    kReap,
    kJob,
    kCron,
    kJobPull,
    kImageUpdate,
  };
  using Task = std::pair<Queue, std::string>;
  // What dies with the daemon.
  struct Daemon;

  void StartDaemon();
  void Enqueue(Queue queue, const std::string& key);
  void EnqueueOwner(const store::Key& key);
  void EnqueueDependents(const char* kind, const std::string& key);
  void EnqueueAfter(const Task& task, absl::Duration delay);
  void Run(const Task& task);
  // Follows the store, as the informers do, and plays data plane and health.
  void Observe();
  void ObserveChange(const store::Change& change);
  void ObserveReplica(const v1::Replica& replica);
  // Moves what is due at this instant to the ready tasks.
  void FireTimers();
  absl::Time NextTimer() const;
  // Lets containers do what is due, and says when the next is.
  absl::Time PlayContainers();
  absl::Time PlayContainer(const engine::ContainerInfo& info);
  // Whether the replica is ready now.
  bool MakeReady(const std::string& name);
  // Commits in spite of faults.
  absl::Status CommitAnyway(const store::Batch& batch);
  const Behavior* BehaviorOf(const engine::ContainerInfo& info);

  const scheduler::PlannerBug bug_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<store::Watcher> watcher_;
  std::set<Task> ready_;
  std::map<Task, absl::Time> timers_;
  std::map<std::string, int64_t> generations_;
  std::map<std::string, int> failures_;
  std::map<std::string, std::string> replica_keys_;  // by uid
  std::map<std::string, Behavior> behaviors_;        // by first layer
  std::set<std::string> made_ready_;                 // containers
  v1::Service scratch_;
  store::MemStore::Fault fault_;
};

}  // namespace bulwark::sim

#endif  // TESTS_SIM_WORLD_H_
