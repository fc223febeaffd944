#include "scheduler/scheduler.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/services/reader.h"
#include "scheduler/shutdown.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

// How long a lost hint can hold up a shutdown.
constexpr absl::Duration kShutdownPoll = absl::Milliseconds(250);

store::Filter OfKind(const char* kind) {
  store::Filter filter;
  filter.kind = kind;
  return filter;
}

// The change's object; the last one if it was deleted.
absl::StatusOr<v1::Object> ObjectOf(const store::Change& change) {
  return store::Decode(
      change.key,
      change.op == store::Change::Op::kPut ? change.value : change.previous,
      change.revision);
}

// A registry changes without telling us: what it lacked is looked for again.
constexpr absl::Duration kPullAgain = absl::Seconds(30);

RunnerOptions Options(const char* name, int workers) {
  RunnerOptions options;
  options.name = name;
  options.workers = workers;
  return options;
}

}  // namespace

Scheduler::Scheduler(SchedulerPorts ports, SchedulerOptions options)
    : ports_(ports),
      events_(ports.store, ports.clock, ports.entropy),
      launcher_(ports.store, ports.engine, ports.images, ports.network,
                ports.volumes, slots_, ports.clock, ports.entropy,
                options.dns_domain),
      replica_controller_(
          ports.store, ports.engine, launcher_, ports.endpoints, ports.clock,
          events_, [this](const std::string& k) { service_runner_->Add(k); }),
      service_controller_(
          ports.store, ports.clock, ports.entropy, events_,
          {[this](const std::string& k) { replica_runner_->Add(k); },
           [this](const std::string& k) { service_runner_->Add(k); },
           [this](const std::string& k) {
             pull_runner_->queue().AddUnlessFailed(k);
           },
           [this](const std::string& k) { reap_runner_->Add(k); },
           [this](const std::string& k) { return IsDown(k); }},
          {options.virtual_pool}),
      resolver_(ports.store, ports.images, ports.clock, ports.entropy, events_,
                [this](const std::string& k) { service_runner_->Add(k); }),
      reaper_(ports.store, ports.engine, ports.network, slots_, ports.clock,
              [this](const std::string& k) { service_runner_->Add(k); }),
      services_("services", ports.store, ports.clock, ports.entropy,
                OfKind("service"),
                [this](const store::Change& c) { OnServiceChange(c); }),
      replicas_("replicas", ports.store, ports.clock, ports.entropy,
                OfKind("replica"),
                [this](const store::Change& c) { OnReplicaChange(c); }) {
  auto service_keys = [this] { return Keys(services_); };
  auto make = [&](const char* name, int workers, auto& controller,
                  Runner::Lister lister) {
    return std::make_unique<Runner>(
        Options(name, workers), ports_.clock, ports_.entropy,
        [&controller](const std::string& k) { return controller.Reconcile(k); },
        std::move(lister));
  };
  service_runner_ = make("service", options.service_workers,
                         service_controller_, service_keys);
  replica_runner_ =
      make("replica", options.replica_workers, replica_controller_,
           [this] { return Keys(replicas_); });
  // A service that lacks a revision asks for it; no resync of its own, which
  // would only break into the back-off.
  RunnerOptions pulls = Options("image", options.pull_workers);
  pulls.hopeless_delay = kPullAgain;
  pull_runner_ = std::make_unique<Runner>(
      std::move(pulls), ports_.clock, ports_.entropy,
      [this](const std::string& k) { return resolver_.Reconcile(k); },
      [] { return std::vector<std::string>(); });
  reap_runner_ = make("reap", 1, reaper_, service_keys);
}

Scheduler::~Scheduler() { Stop(); }

absl::Status Scheduler::Start() {
  const absl::Status swept = reaper_.SweepOrphans();
  if (!swept.ok()) {
    LOG_WARN("leftovers are not removed", {{"cause", swept}});
    absl::MutexLock lock(&mu_);
    degraded_ = std::string(swept.message());
  }
  RETURN_IF_ERROR(replicas_.Start());
  for (const std::string& key : Keys(replicas_)) {
    // Errors come again, and are handled, when the runner looks at the key.
    replica_controller_.Observe(key).IgnoreError();
  }
  RETURN_IF_ERROR(services_.Start());
  replica_runner_->Start();
  service_runner_->Start();
  pull_runner_->Start();
  reap_runner_->Start();
  return absl::OkStatus();
}

void Scheduler::Stop() {
  if (std::exchange(stopped_, true)) return;
  resolver_.Cancel();
  launcher_.Cancel();
  services_.Stop();
  replicas_.Stop();
  service_runner_->Stop();
  replica_runner_->Stop();
  pull_runner_->Stop();
  reap_runner_->Stop();
}

void Scheduler::OnEngineEvent(absl::string_view container_id) {
  OnEndpointsChanged(ReplicaUidOf(container_id));
}

void Scheduler::OnEndpointsChanged(const std::string& replica_uid) {
  std::string key;
  {
    absl::MutexLock lock(&mu_);
    auto it = replica_keys_.find(replica_uid);
    if (it == replica_keys_.end()) return;
    key = it->second;
  }
  replica_runner_->Add(key);
}

void Scheduler::OnMountsChanged(const std::string& service) {
  service_runner_->Add(service);
}

std::string Scheduler::degraded() const {
  absl::MutexLock lock(&mu_);
  return degraded_;
}

std::vector<Runner::Stats> Scheduler::GetStats() const {
  std::vector<Runner::Stats> stats;
  for (const auto* runner :
       {&service_runner_, &replica_runner_, &pull_runner_, &reap_runner_}) {
    stats.push_back((*runner)->GetStats());
  }
  return stats;
}

void Scheduler::OnServiceChange(const store::Change& change) {
  const std::string key = QueueKey(change.key);
  service_runner_->Add(key);
  if (change.op == store::Change::Op::kDelete) {
    reap_runner_->Add(key);
    absl::MutexLock lock(&mu_);
    generations_.erase(key);
    return;
  }
  absl::StatusOr<v1::Object> object = ObjectOf(change);
  if (!object.ok()) return;
  const int64_t generation = object->service().metadata().generation();
  bool declared_anew;
  {
    absl::MutexLock lock(&mu_);
    declared_anew = std::exchange(generations_[key], generation) != generation;
  }
  // A new declaration does not wait for the back-off of the old one's pull.
  if (declared_anew) pull_runner_->Add(key);
}

void Scheduler::OnReplicaChange(const store::Change& change) {
  absl::StatusOr<v1::Object> object = ObjectOf(change);
  if (!object.ok()) {
    LOG_ERROR("unreadable replica", {{"cause", object.status()}});
    return;
  }
  const v1::Replica& replica = object->replica();
  const std::string key = QueueKey(change.key);
  {
    absl::MutexLock lock(&mu_);
    ++replica_changes_;
    if (change.op == store::Change::Op::kDelete) {
      replica_keys_.erase(replica.metadata().uid());
    } else {
      replica_keys_[replica.metadata().uid()] = key;
    }
  }
  if (change.op == store::Change::Op::kPut) replica_runner_->Add(key);
  service_runner_->Add(
      absl::StrCat(change.key.project, "/", replica.spec().service()));
}

std::vector<std::string> Scheduler::Keys(const Informer& informer) const {
  std::vector<std::string> keys;
  for (const Informer::RecordPtr& record : informer.List()) {
    keys.push_back(QueueKey(record->key));
  }
  return keys;
}

bool Scheduler::IsDown(const std::string& service) {
  absl::MutexLock lock(&mu_);
  return down_.contains(service);
}

absl::StatusOr<std::set<std::string>> Scheduler::LiveServices() {
  ASSIGN_OR_RETURN(auto replicas, store::ListObjects(ports_.store, "replica"));
  std::set<std::string> live;
  for (const v1::Object& object : replicas.objects) {
    const v1::Replica& r = object.replica();
    if (HasEnded(r)) continue;
    live.insert(
        absl::StrCat(store::KeyOf(object).project, "/", r.spec().service()));
  }
  return live;
}

absl::StatusOr<std::vector<std::string>> Scheduler::ShutdownAll(
    absl::Duration timeout) {
  const absl::Duration deadline = ports_.clock.Steady() + timeout;
  while (true) {
    int64_t seen;
    {
      absl::MutexLock lock(&mu_);
      seen = replica_changes_;
    }
    DependencyGraph graph;
    ASSIGN_OR_RETURN(auto services,
                     store::ListObjects(ports_.store, "service"));
    for (const v1::Object& object : services.objects) {
      const v1::Service& s = object.service();
      auto& needs = graph[QueueKey(s.metadata())];
      for (const v1::Dependency& d : s.spec().depends_on()) {
        needs.push_back(absl::StrCat(s.metadata().project(), "/", d.service()));
      }
    }
    ASSIGN_OR_RETURN(std::set<std::string> live, LiveServices());
    std::set<std::string> next = StopNext(graph, live);
    // What has no replica must not get one any more.
    for (const auto& [key, needs] : graph) {
      if (!live.contains(key)) next.insert(key);
    }
    {
      absl::MutexLock lock(&mu_);
      down_.insert(next.begin(), next.end());
    }
    for (const std::string& key : next) service_runner_->Add(key);
    if (live.empty()) return std::vector<std::string>();
    if (ports_.clock.Steady() >= deadline) {
      RETURN_IF_ERROR(KillAll(live));
      return std::vector<std::string>(live.begin(), live.end());
    }
    absl::MutexLock lock(&mu_);
    auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return replica_changes_ != seen;
    };
    ports_.clock.AwaitUntil(
        mu_, absl::Condition(&changed),
        std::min(deadline, ports_.clock.Steady() + kShutdownPoll));
  }
}

absl::Status Scheduler::KillAll(const std::set<std::string>& services) {
  {
    absl::MutexLock lock(&mu_);
    down_.insert(services.begin(), services.end());
  }
  for (const std::string& key : services) service_runner_->Add(key);
  absl::Status first;
  for (const engine::ContainerInfo& info : ports_.engine.List()) {
    if (info.state != engine::ContainerState::kRunning ||
        !info.labels.contains(kReplicaLabel)) {
      continue;
    }
    const absl::Status killed = ports_.engine.Kill(info.id);
    if (!absl::IsNotFound(killed)) first.Update(killed);
  }
  return first;
}

}  // namespace bulwark::scheduler
