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
#include "scheduler/services/unmet.h"
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
        launcher(
            w.store, w.engine, w.images, w.network, w.volumes, w.delivery,
            [](const secrets::SecretReads&) { return absl::OkStatus(); }, slots,
            w.clock, w.entropy, "bulwark.internal",
            scheduler::IdPool{1879048192, 4000}),
        addresses(w.store),
        replicas(
            w.store, w.engine, launcher, w.data_plane, w.clock, events,
            [&w](const v1::Replica& r) {
              w.EnqueueOwner(scheduler::OwnerKeyOf(r));
            },
            [](const std::string&) {}),
        services(w.store, w.clock, w.entropy, events, addresses,
                 {Adder(w, Queue::kReplica), Dependents(w, "service"),
                  [&w](const std::string& k, bool anew) {
                    if (anew) return w.Enqueue(Queue::kPull, k);
                    Puller(w, Queue::kPull)(k);
                  },
                  Reaper(w, "service"),
                  [](const std::string&) { return false; }, nullptr,
                  [this](const v1::Object& service,
                         const std::vector<v1::Revision>& known,
                         const v1::Template& declared) {
                    return resolver.AtHand(service, known, declared);
                  }},
                 {"10.211.0.0/16", w.bug_}),
        jobs(w.store, w.clock, w.entropy, events, addresses,
             {Adder(w, Queue::kReplica), Dependents(w, "job"),
              Puller(w, Queue::kJobPull), Reaper(w, "job"),
              [](const std::string&) { return false; }}),
        cron_jobs(w.store, w.clock, w.entropy, events),
        resolver("service", w.store, w.images, w.clock, w.entropy, events,
                 Adder(w, Queue::kService)),
        job_resolver("job", w.store, w.images, w.clock, w.entropy, events,
                     Adder(w, Queue::kJob)),
        image_updates(
            w.store, w.images, w.clock, w.entropy, events,
            Adder(w, Queue::kService),
            [](const v1::ObjectReference&, int64_t, const std::string&) {}),
        reaper(w.store, w.engine, w.network, w.delivery, slots, w.clock,
               [&w](const store::Key& k) { w.EnqueueOwner(k); }) {}

  using Hook = std::function<void(const std::string&)>;
  static Hook Adder(World& w, Queue queue) {
    return [&w, queue](const std::string& k) { w.Enqueue(queue, k); };
  }
  static Hook Puller(World& w, Queue queue) {
    return [&w, queue](const std::string& k) {
      if (!w.timers_.contains({queue, k})) w.Enqueue(queue, k);
    };
  }
  static Hook Reaper(World& w, const char* kind) {
    return [&w, kind](const std::string& k) {
      w.Enqueue(Queue::kReap, absl::StrCat(kind, "/", k));
    };
  }
  static Hook Dependents(World& w, const char* kind) {
    return [&w, kind](const std::string& k) { w.EnqueueDependents(kind, k); };
  }

  scheduler::SlotGuard slots;
  scheduler::EventRecorder events;
  scheduler::Launcher launcher;
  scheduler::AddressAssigner addresses;
  scheduler::ReplicaController replicas;
  scheduler::ServiceController services;
  scheduler::JobController jobs;
  scheduler::CronController cron_jobs;
  scheduler::ImageResolver resolver;
  scheduler::ImageResolver job_resolver;
  scheduler::ImageUpdateController image_updates;
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
  for (const char* kind : {"service", "job", "cron-job"}) {
    auto owners = store::ListObjects(store, kind);
    CHECK(owners.ok());
    for (const v1::Object& o : owners->objects) {
      const store::Key key = store::KeyOf(o);
      EnqueueOwner(key);
      if (scheduler::WantsRefresh(o)) {
        Enqueue(Queue::kPull, scheduler::QueueKey(key));
      }
      if (o.service().spec().has_image_update()) {
        Enqueue(Queue::kImageUpdate, scheduler::QueueKey(key));
      }
      if (!o.has_cron_job()) Enqueue(Queue::kReap, key.ToString());
    }
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

void World::EnqueueOwner(const store::Key& key) {
  Enqueue(key.kind == "job"        ? Queue::kJob
          : key.kind == "cron-job" ? Queue::kCron
                                   : Queue::kService,
          scheduler::QueueKey(key));
}

void World::EnqueueDependents(const char* kind, const std::string& key) {
  auto parsed = scheduler::ParseQueueKey(kind, key);
  CHECK(parsed.ok());
  for (const char* of : {"service", "job"}) {
    store::Filter filter;
    filter.kind = of;
    filter.project = parsed->project;
    const absl::StatusOr<store::Listing> owners = store.List(filter);
    if (!owners.ok()) continue;
    for (const store::Record& owner : owners->records) {
      if (scheduler::DependsOn(owner, kind, parsed->name)) {
        EnqueueOwner(owner.key);
      }
    }
  }
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
      case Queue::kJob:
        return daemon_->jobs.Reconcile(key);
      case Queue::kCron:
        return daemon_->cron_jobs.Reconcile(key);
      case Queue::kPull:
        return daemon_->resolver.Reconcile(key);
      case Queue::kJobPull:
        return daemon_->job_resolver.Reconcile(key);
      case Queue::kImageUpdate:
        return daemon_->image_updates.Reconcile(key);
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
      ObserveChange(change);
    }
  }
}

void World::ObserveChange(const store::Change& change) {
  const std::string& kind = change.key.kind;
  if (kind == "scale") {
    return Enqueue(Queue::kService, scheduler::QueueKey(change.key));
  }
  if (kind != "replica" && kind != "service" && kind != "job" &&
      kind != "cron-job") {
    return;
  }
  const std::string key = scheduler::QueueKey(change.key);
  const bool put = change.op == store::Change::Op::kPut;
  auto object = store::Decode(change.key, put ? change.value : change.previous,
                              change.revision);
  CHECK(object.ok());
  if (kind == "replica") {
    replica_keys_[object->replica().metadata().uid()] = key;
    if (put) {
      Enqueue(Queue::kReplica, key);
      ObserveReplica(object->replica());
    }
    return EnqueueOwner(scheduler::OwnerKeyOf(object->replica()));
  }
  EnqueueOwner(change.key);
  if (kind == "cron-job") return;
  if (kind == "job" && object->job().metadata().has_owner()) {
    Enqueue(Queue::kCron,
            absl::StrCat(change.key.project, "/",
                         object->job().metadata().owner().name()));
  }
  if (!put) Enqueue(Queue::kReap, change.key.ToString());
  if (put && scheduler::WantsRefresh(*object) &&
      !timers_.contains({Queue::kPull, key})) {
    Enqueue(Queue::kPull, key);
  }
  const int64_t generation = store::MetadataOf(*object).generation();
  int64_t& seen = generations_[change.key.ToString()];
  if (put && std::exchange(seen, generation) != generation) {
    // The controller of a service asks for its images.
    if (kind == "job") Enqueue(Queue::kJobPull, key);
    if (object->service().spec().has_image_update() ||
        object->service().status().has_image_update()) {
      Enqueue(Queue::kImageUpdate, key);
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

}  // namespace bulwark::sim
