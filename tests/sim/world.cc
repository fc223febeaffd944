#include "tests/sim/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/names.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::sim {
namespace {

using scheduler::Result;
using scheduler::ToTime;

constexpr char kNetworkId[] = "net0";
constexpr char kSubnet[] = "10.210.0.0/24";
constexpr int kMaxSteps = 200000;

}  // namespace

struct World::Daemon {
  explicit Daemon(World& w)
      : events(w.store, w.clock, w.entropy),
        launcher(w.store, w.engine, w.images, w.network, w.volumes, w.delivery,
                 slots, w.clock, w.entropy, "bulwark.internal"),
        replicas(w.store, w.engine, launcher, w.data_plane, w.clock, events,
                 [&w](const std::string& k) { w.Enqueue(Queue::kService, k); }),
        services(w.store, w.clock, w.entropy, events,
                 {[&w](const std::string& k) { w.Enqueue(Queue::kReplica, k); },
                  [&w](const std::string& k) { w.Enqueue(Queue::kService, k); },
                  [&w](const std::string& k) {
                    if (!w.timers_.contains({Queue::kPull, k})) {
                      w.Enqueue(Queue::kPull, k);
                    }
                  },
                  [&w](const std::string& k) { w.Enqueue(Queue::kReap, k); },
                  [](const std::string&) { return false; }},
                 {"10.211.0.0/16", w.bug_}),
        resolver(w.store, w.images, w.clock, w.entropy, events,
                 [&w](const std::string& k) { w.Enqueue(Queue::kService, k); }),
        reaper(w.store, w.engine, w.network, w.delivery, slots, w.clock,
               [&w](const std::string& k) { w.Enqueue(Queue::kService, k); }) {}

  scheduler::SlotGuard slots;
  scheduler::EventRecorder events;
  scheduler::Launcher launcher;
  scheduler::ReplicaController replicas;
  scheduler::ServiceController services;
  scheduler::ImageResolver resolver;
  scheduler::Reaper reaper;
};

World::World(uint64_t seed, scheduler::PlannerBug bug)
    : entropy(seed), store(clock), engine(clock), bug_(bug) {
  CHECK(network.Recover().ok());
  CHECK(network.EnsureNetwork({kNetworkId, kSubnet, ""}).ok());
  v1::Object object;
  v1::Network& n = *object.mutable_network();
  n.mutable_metadata()->set_name("default");
  n.mutable_metadata()->set_project("default");
  n.mutable_metadata()->set_uid(kNetworkId);
  n.mutable_status()->set_subnet(kSubnet);
  n.mutable_status()->set_gateway("10.210.0.1");
  CHECK(store
            .Commit(
                store::Batch().Put(store::KeyOf(object), store::Encode(object)))
            .ok());
  StartDaemon();
}

World::~World() = default;

void World::StartDaemon() {
  ready_.clear();
  timers_.clear();
  failures_.clear();
  daemon_ = std::make_unique<Daemon>(*this);
  CHECK(engine
            .Recover([this](absl::string_view id) {
              auto it = replica_keys_.find(scheduler::ReplicaUidOf(id));
              if (it != replica_keys_.end()) {
                Enqueue(Queue::kReplica, it->second);
              }
            })
            .ok());
  daemon_->reaper.SweepOrphans().IgnoreError();
  auto watcher = store.Watch(store.CurrentRevision(), store::Filter{});
  CHECK(watcher.ok());
  watcher_ = *std::move(watcher);
  auto replicas = store::ListObjects(store, "replica");
  CHECK(replicas.ok());
  for (const v1::Object& o : replicas->objects) {
    const std::string key = scheduler::QueueKey(store::KeyOf(o));
    replica_keys_[o.replica().metadata().uid()] = key;
    daemon_->replicas.Observe(key).IgnoreError();
    Enqueue(Queue::kReplica, key);
    ObserveReplica(o.replica());
  }
  auto services = store::ListObjects(store, "service");
  CHECK(services.ok());
  for (const v1::Object& o : services->objects) {
    const std::string key = scheduler::QueueKey(store::KeyOf(o));
    Enqueue(Queue::kService, key);
    Enqueue(Queue::kReap, key);
  }
}

void World::CrashDaemon() { StartDaemon(); }

void World::Reboot() {
  // Adopts the records that the last boot left: every container has ended.
  for (const engine::ContainerInfo& c : engine.List()) {
    engine.LoseShim(c.id).IgnoreError();
  }
  for (const netmesh::Sandbox& s : network.ListSandboxes()) {
    CHECK(network.DeleteSandbox(s.spec.id).ok());
  }
  StartDaemon();
}

void World::Enqueue(Queue queue, const std::string& key) {
  timers_.erase({queue, key});
  ready_.insert({queue, key});
}

void World::EnqueueAfter(const Task& task, absl::Duration delay) {
  const absl::Time due = clock.Now() + delay;
  auto [it, added] = timers_.emplace(task, due);
  if (!added) it->second = std::min(it->second, due);
}

bool World::StepOnce() {
  Observe();
  if (ready_.empty()) return false;
  auto it = ready_.begin();
  std::advance(it, entropy.Next() % ready_.size());
  const Task task = *it;
  ready_.erase(it);
  Run(task);
  Observe();
  ++steps;
  if (after_step) after_step();
  return true;
}

void World::Run(const Task& task) {
  const std::string& key = task.second;
  absl::StatusOr<Result> result = [&]() -> absl::StatusOr<Result> {
    switch (task.first) {
      case Queue::kService:
        return daemon_->services.Reconcile(key);
      case Queue::kReplica:
        return daemon_->replicas.Reconcile(key);
      case Queue::kPull:
        return daemon_->resolver.Reconcile(key);
      case Queue::kReap:
        return daemon_->reaper.Reconcile(key);
    }
    return Result{};
  }();
  int& failures = failures_[absl::StrCat(static_cast<int>(task.first), key)];
  if (!result.ok()) {
    const Backoff backoff;
    EnqueueAfter(task, IsRetryable(result.status())
                           ? backoff.Delay(failures++, 0)
                           : absl::Minutes(5));
    return;
  }
  failures = 0;
  if (result->requeue_after.has_value()) {
    EnqueueAfter(task, *result->requeue_after);
  }
}

void World::Settle() {
  for (int i = 0; i < kMaxSteps; ++i) {
    if (!StepOnce()) return;
  }
  CHECK(!"the controllers never come to rest");
}

void World::Observe() {
  while (watcher_->Revision() < store.CurrentRevision()) {
    auto changes = watcher_->Next(absl::ZeroDuration());
    CHECK(changes.ok());
    for (const store::Change& change : *changes) {
      const std::string key = scheduler::QueueKey(change.key);
      const bool put = change.op == store::Change::Op::kPut;
      if (change.key.kind == "scale") Enqueue(Queue::kService, key);
      if (change.key.kind != "replica" && change.key.kind != "service") {
        continue;
      }
      auto object = store::Decode(
          change.key, put ? change.value : change.previous, change.revision);
      CHECK(object.ok());
      if (change.key.kind == "service") {
        Enqueue(Queue::kService, key);
        if (!put) Enqueue(Queue::kReap, key);
        const int64_t generation = object->service().metadata().generation();
        if (put && std::exchange(generations_[key], generation) != generation) {
          Enqueue(Queue::kPull, key);
        }
        continue;
      }
      replica_keys_[object->replica().metadata().uid()] = key;
      if (put) {
        Enqueue(Queue::kReplica, key);
        ObserveReplica(object->replica());
      }
      Enqueue(Queue::kService,
              absl::StrCat(change.key.project, "/",
                           object->replica().spec().service()));
    }
  }
}

void World::ObserveReplica(const v1::Replica& replica) {
  const std::string& uid = replica.metadata().uid();
  if (replica.status().state() < v1::ReplicaStatus::DRAINING) return;
  if (data_plane.IsOut(uid)) return;
  data_plane.SetOut(uid);
  Enqueue(Queue::kReplica, replica_keys_[uid]);
}

void World::FireTimers() {
  for (auto it = timers_.begin(); it != timers_.end();) {
    if (it->second > clock.Now()) {
      ++it;
      continue;
    }
    ready_.insert(it->first);
    it = timers_.erase(it);
  }
}

absl::Time World::NextTimer() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [task, due] : timers_) next = std::min(next, due);
  return next;
}

void World::Advance(absl::Duration d) {
  AdvanceUntil(d, [] { return false; });
}

bool World::AdvanceUntil(absl::Duration limit,
                         const std::function<bool()>& done) {
  const absl::Time end = clock.Now() + limit;
  while (true) {
    absl::Time next = PlayContainers();
    Settle();
    if (done()) return true;
    if (clock.Now() >= end) return false;
    next = std::min({next, PlayContainers(), NextTimer(), end});
    if (!ready_.empty()) continue;
    clock.Advance(std::max(absl::Nanoseconds(1), next - clock.Now()));
    FireTimers();
  }
}

void World::SetFault(store::MemStore::Fault fault) {
  fault_ = std::move(fault);
  store.SetFault(fault_);
}

absl::Status World::CommitAnyway(const store::Batch& batch) {
  store.SetFault(nullptr);
  const absl::Status status = store.Commit(batch).status();
  store.SetFault(fault_);
  return status;
}

v1::Service World::MakeService(const std::string& name,
                               const std::string& image, int replicas) {
  v1::Service service;
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_project("default");
  v1::ServiceSpec& spec = *service.mutable_spec();
  spec.set_replicas(replicas);
  v1::Container& container = *spec.add_containers();
  container.set_name(name);
  container.set_image(image);
  return service;
}

void World::Publish(const std::string& image, Behavior behavior) {
  engine::ImageConfig config;
  config.command = {"/app"};
  behaviors_[images.Publish(image, 1, config).layers[0]] = behavior;
}

void World::Apply(v1::Service service) {
  const store::Key key =
      store::ObjectKey("service", "default", service.metadata().name());
  auto old = store::GetObject(store, key);
  v1::Object object;
  if (old.ok()) {
    object = *old;
    object.mutable_service()->mutable_metadata()->set_generation(
        object.service().metadata().generation() + 1);
  } else {
    *object.mutable_service()->mutable_metadata() = service.metadata();
    object.mutable_service()->mutable_metadata()->set_uid(NewUid(entropy));
    object.mutable_service()->mutable_metadata()->set_generation(1);
  }
  *object.mutable_service()->mutable_spec() = service.spec();
  CHECK(CommitAnyway(store::Batch().Put(key, store::Encode(object))).ok());
}

void World::Delete(const std::string& name) {
  auto object =
      store::GetObject(store, store::ObjectKey("service", "default", name));
  if (!object.ok()) return;
  scheduler::SetTime(
      object->mutable_service()->mutable_metadata()->mutable_delete_time(),
      clock.Now());
  CHECK(CommitAnyway(
            store::Batch().Put(store::KeyOf(*object), store::Encode(*object)))
            .ok());
}

std::optional<v1::Service> World::GetService(const std::string& name) {
  auto object = scheduler::FindService(store, "default", name);
  CHECK(object.ok());
  if (!object->has_value()) return std::nullopt;
  return (*object)->service();
}

void World::Decide(const std::string& name, int count) {
  std::optional<v1::Service> service = GetService(name);
  if (!service.has_value()) return;
  v1::Object object;
  v1::Scale& scale = *object.mutable_scale();
  scale.mutable_metadata()->set_name(name);
  scale.mutable_metadata()->set_project("default");
  scale.set_service_uid(service->metadata().uid());
  scale.set_replicas(count);
  CHECK(CommitAnyway(
            store::Batch().Put(store::KeyOf(object), store::Encode(object)))
            .ok());
}

std::optional<int> World::Scaled(const std::string& service) {
  std::optional<v1::Service> found = GetService(service);
  if (!found.has_value()) return std::nullopt;
  auto scale = scheduler::FindScale(store, *found);
  CHECK(scale.ok());
  return scheduler::CountOf(*scale);
}

int World::Wanted(const std::string& service) {
  return scheduler::SettingsOf(GetService(service).value_or(v1::Service()),
                               nullptr, Scaled(service))
      .replicas;
}

std::vector<v1::Replica> World::Replicas(const std::string& service) {
  auto replicas = scheduler::ListReplicas(store, "default", service);
  CHECK(replicas.ok());
  return *replicas;
}

std::vector<v1::Replica> World::Live(const std::string& service) {
  std::vector<v1::Replica> live = Replicas(service);
  std::erase_if(live, [](const v1::Replica& r) {
    return scheduler::HasEnded(r) || r.spec().goal() != v1::ReplicaSpec::RUN;
  });
  return live;
}

std::vector<v1::Revision> World::Revisions(const std::string& service) {
  auto revisions = scheduler::ListRevisions(store, "default", service);
  CHECK(revisions.ok());
  return *revisions;
}

std::vector<v1::Event> World::Events(const std::string& reason) {
  auto events = store::ListObjects(store, "event");
  CHECK(events.ok());
  std::vector<v1::Event> found;
  for (const v1::Object& o : events->objects) {
    if (o.event().reason() == reason) found.push_back(o.event());
  }
  return found;
}

int World::Available(const std::string& service) {
  int n = 0;
  for (const v1::Replica& r : Live(service)) {
    if (r.status().state() == v1::ReplicaStatus::RUNNING &&
        r.status().ready()) {
      ++n;
    }
  }
  return n;
}

const v1::Condition* World::Condition(const std::string& service,
                                      const std::string& type) {
  std::optional<v1::Service> found = GetService(service);
  if (!found.has_value()) return nullptr;
  scratch_ = *found;
  return scheduler::FindCondition(scratch_.status().conditions(), type);
}

scheduler::ServiceView World::View(const std::string& service) {
  scheduler::ServiceView view;
  view.service = GetService(service).value_or(v1::Service());
  view.revisions = Revisions(service);
  view.replicas = Replicas(service);
  view.scaled = Scaled(service);
  view.now = clock.Now();
  return view;
}

bool World::CrashOneContainer(Entropy& random) {
  std::vector<std::string> running;
  for (const engine::ContainerInfo& c : engine.List()) {
    if (c.state == engine::ContainerState::kRunning) running.push_back(c.id);
  }
  if (running.empty()) return false;
  return engine.Exit(running[random.Next() % running.size()], 1).ok();
}

}  // namespace bulwark::sim
