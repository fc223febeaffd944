#include "scheduler/scheduler.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/names.h"
#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/reader.h"
#include "scheduler/services/unmet.h"
#include "scheduler/unreadable.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

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

// Until a controller looks at news that nothing has to be done for at once:
// while a replica starts, all that a processor does for others delays it. News
// of a key that failed just now come with its next try.
constexpr absl::Duration kUnhurried = absl::Milliseconds(20);

// "KIND/PROJECT/NAME" of "PROJECT/NAME".
std::string OwnerKey(absl::string_view kind, absl::string_view key) {
  return absl::StrCat(kind, "/", key);
}

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
      addresses_(ports.store, [this] { return HeldAddresses(); }),
      launcher_(ports.store, ports.engine, ports.images, ports.network,
                ports.volumes, ports.delivery, ports.record_reads, slots_,
                ports.clock, ports.entropy, options.dns_domain, options.ids),
      replica_controller_(
          ports.store, ports.engine, launcher_, ports.endpoints, ports.clock,
          events_, [this](const v1::Replica& r) { WakeOwner(r); },
          [this](const std::string& id) { OnEngineEvent(id); }),
      service_controller_(
          ports.store, ports.clock, ports.entropy, events_, addresses_,
          {[this](const std::string& k) { replica_runner_->Add(k); },
           [this](const std::string& k) { WakeDependents("service", k); },
           [this](const std::string& k, bool anew) {
             // What is declared anew does not wait for the back-off of the old
             // declaration's pull.
             if (anew) return pull_runner_->Add(k);
             pull_runner_->queue().AddUnlessFailed(k);
           },
           [this](const std::string& k) {
             reap_runner_->Add(OwnerKey("service", k));
           },
           [this](const std::string& k) {
             return IsDown(OwnerKey("service", k));
           },
           [this]() -> std::string {
             const secrets::VaultStatus status = ports_.vault.Status();
             if (!status.sealed) return "";
             return absl::StrCat("the secrets are sealed: ", status.message,
                                 "; ", status.remedy);
           },
           [this](const v1::Object& service,
                  const std::vector<v1::Revision>& known,
                  const v1::Template& declared) {
             return resolver_.AtHand(service, known, declared);
           }},
          {options.virtual_pool}),
      job_controller_(
          ports.store, ports.clock, ports.entropy, events_, addresses_,
          {[this](const std::string& k) { replica_runner_->Add(k); },
           [this](const std::string& k) { WakeDependents("job", k); },
           [this](const std::string& k) {
             job_pull_runner_->queue().AddUnlessFailed(k);
           },
           [this](const std::string& k) {
             reap_runner_->Add(OwnerKey("job", k));
           },
           [this](const std::string& k) {
             return IsDown(OwnerKey("job", k));
           }}),
      cron_controller_(ports.store, ports.clock, ports.entropy, events_),
      resolver_("service", ports.store, ports.images, ports.clock,
                ports.entropy, events_,
                [this](const std::string& k) { service_runner_->Add(k); }),
      job_resolver_("job", ports.store, ports.images, ports.clock,
                    ports.entropy, events_,
                    [this](const std::string& k) { job_runner_->Add(k); }),
      reaper_(ports.store, ports.engine, ports.network, ports.delivery, slots_,
              ports.clock, [this](const store::Key& k) { Wake(k.ToString()); }),
      autoscaler_(ports.store, ports.clock, ports.entropy, events_,
                  ports.samples,
                  [this](const std::string& k) { service_runner_->Add(k); }),
      image_updater_(
          ports.store, ports.images, ports.clock, ports.entropy, events_,
          [this](const std::string& k) { service_runner_->Add(k); },
          ports.record_update),
      services_("services", ports.store, ports.clock, ports.entropy,
                OfKind("service"),
                [this](const store::Change& c) { OnOwnerChange(c); }),
      jobs_("jobs", ports.store, ports.clock, ports.entropy, OfKind("job"),
            [this](const store::Change& c) { OnOwnerChange(c); }),
      cron_jobs_("cron jobs", ports.store, ports.clock, ports.entropy,
                 OfKind("cron-job"),
                 [this](const store::Change& c) { OnCronJobChange(c); }),
      replicas_("replicas", ports.store, ports.clock, ports.entropy,
                OfKind("replica"),
                [this](const store::Change& c) { OnReplicaChange(c); }),
      secrets_("secrets", ports.store, ports.clock, ports.entropy,
               OfKind("secret"),
               [this](const store::Change& c) { OnInputChange(c); }),
      configs_("configs", ports.store, ports.clock, ports.entropy,
               OfKind("config"),
               [this](const store::Change& c) { OnInputChange(c); }) {
  MakeRunners(options);
}

void Scheduler::MakeRunners(const SchedulerOptions& options) {
  auto make = [&](RunnerOptions runner, auto& controller,
                  Runner::Lister lister) {
    return std::make_unique<Runner>(
        std::move(runner), ports_.clock, ports_.entropy,
        [&controller](const std::string& k) { return controller.Reconcile(k); },
        std::move(lister));
  };
  auto keys = [this](const Informer& informer) {
    return [this, &informer] { return Keys(informer); };
  };
  service_runner_ = make(Options("service", options.service_workers),
                         service_controller_, keys(services_));
  job_runner_ =
      make(Options("job", options.job_workers), job_controller_, keys(jobs_));
  cron_runner_ =
      make(Options("cron job", 1), cron_controller_, keys(cron_jobs_));
  replica_runner_ = make(Options("replica", options.replica_workers),
                         replica_controller_, keys(replicas_));
  // Who lacks a revision asks for it; no resync of its own, which would only
  // break into the back-off.
  auto none = [] { return std::vector<std::string>(); };
  RunnerOptions pulls = Options("image", options.pull_workers);
  pulls.hopeless_delay = kPullAgain;
  pull_runner_ = make(pulls, resolver_, none);
  pulls.name = "job image";
  pulls.workers = options.job_pull_workers;
  job_pull_runner_ = make(pulls, job_resolver_, none);
  reap_runner_ = make(Options("reap", 1), reaper_, [this] {
    std::vector<std::string> all;
    for (const Informer* informer : {&services_, &jobs_}) {
      for (const Informer::RecordPtr& record : informer->List()) {
        all.push_back(record->key.ToString());
      }
    }
    return all;
  });
  autoscale_runner_ =
      make(Options("autoscale", 1), autoscaler_, keys(services_));
  image_update_runner_ =
      make(Options("image update", options.image_update_workers),
           image_updater_, keys(services_));
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
  RETURN_IF_ERROR(jobs_.Start());
  RETURN_IF_ERROR(cron_jobs_.Start());
  RETURN_IF_ERROR(secrets_.Start());
  RETURN_IF_ERROR(configs_.Start());
  replica_runner_->Start();
  service_runner_->Start();
  job_runner_->Start();
  cron_runner_->Start();
  pull_runner_->Start();
  job_pull_runner_->Start();
  reap_runner_->Start();
  autoscale_runner_->Start();
  image_update_runner_->Start();
  return absl::OkStatus();
}

void Scheduler::Stop() {
  if (std::exchange(stopped_, true)) return;
  resolver_.Cancel();
  job_resolver_.Cancel();
  image_updater_.Cancel();
  launcher_.Cancel();
  services_.Stop();
  jobs_.Stop();
  cron_jobs_.Stop();
  replicas_.Stop();
  secrets_.Stop();
  configs_.Stop();
  service_runner_->Stop();
  job_runner_->Stop();
  cron_runner_->Stop();
  replica_runner_->Stop();
  pull_runner_->Stop();
  job_pull_runner_->Stop();
  reap_runner_->Stop();
  autoscale_runner_->Stop();
  image_update_runner_->Stop();
  replica_controller_.Stop();
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

void Scheduler::OnJobMountsChanged(const std::string& job) {
  job_runner_->Add(job);
}

std::string Scheduler::degraded() const {
  absl::MutexLock lock(&mu_);
  return degraded_;
}

std::vector<Runner::Stats> Scheduler::GetStats() const {
  std::vector<Runner::Stats> stats;
  for (const auto* runner :
       {&service_runner_, &job_runner_, &cron_runner_, &replica_runner_,
        &pull_runner_, &job_pull_runner_, &reap_runner_, &autoscale_runner_,
        &image_update_runner_}) {
    stats.push_back((*runner)->GetStats());
  }
  return stats;
}

// Of a service or a job.
void Scheduler::OnOwnerChange(const store::Change& change) {
  const std::string key = change.key.ToString();
  const bool job = change.key.kind == "job";
  // Before anything else is done with it: somebody waits.
  if (change.created) Wake(key);
  absl::StatusOr<v1::Object> object = ObjectOf(change);
  if (job && object.ok() && object->job().metadata().has_owner()) {
    cron_runner_->Add(absl::StrCat(change.key.project, "/",
                                   object->job().metadata().owner().name()));
  }
  if (change.op == store::Change::Op::kDelete) {
    Wake(key);
    reap_runner_->Add(key);
    if (!job) {
      autoscale_runner_->Add(QueueKey(change.key));
      image_update_runner_->Add(QueueKey(change.key));
    }
    absl::MutexLock lock(&mu_);
    generations_.erase(key);
    return;
  }
  if (!object.ok()) {
    Wake(key);
    return TellUnreadable(change, object.status(), events_);
  }
  const int64_t generation = store::MetadataOf(*object).generation();
  bool declared_anew;
  {
    absl::MutexLock lock(&mu_);
    declared_anew = std::exchange(generations_[key], generation) != generation;
  }
  const bool news =
      declared_anew || job || store::MetadataOf(*object).has_delete_time();
  if (!change.created) Wake(key, news ? absl::ZeroDuration() : kUnhurried);
  if (WantsRefresh(*object)) {
    pull_runner_->queue().AddUnlessFailed(QueueKey(change.key));
  }
  if (!declared_anew) return;
  // The controller of a service asks for its images, unless they are here. A
  // job's are looked for at once, as is right where it has none.
  if (!job) {
    // They have to forget one that does not ask for them any more.
    const v1::ServiceSpec& spec = object->service().spec();
    if (!change.created || spec.has_autoscale()) {
      autoscale_runner_->Add(QueueKey(change.key));
    }
    if (!change.created || spec.has_image_update()) {
      image_update_runner_->Add(QueueKey(change.key));
    }
  } else if (!IsFinished(object->job()) && !object->job().spec().suspend()) {
    job_pull_runner_->Add(QueueKey(change.key));
  }
}

void Scheduler::OnCronJobChange(const store::Change& change) {
  const absl::StatusOr<v1::Object> object = ObjectOf(change);
  if (!object.ok()) TellUnreadable(change, object.status(), events_);
  cron_runner_->Add(QueueKey(change.key));
}

void Scheduler::Wake(const std::string& key, absl::Duration delay) {
  absl::StatusOr<store::Key> parsed = store::Key::Parse(key);
  if (!parsed.ok()) return;
  (parsed->kind == "job" ? job_runner_ : service_runner_)
      ->queue()
      .AddAfter(QueueKey(*parsed), delay);
}

void Scheduler::WakeOwner(const v1::Replica& replica) {
  Wake(OwnerKeyOf(replica).ToString());
}

void Scheduler::WakeDependents(const char* kind, const std::string& key) {
  absl::StatusOr<store::Key> parsed = ParseQueueKey(kind, key);
  if (!parsed.ok()) return;
  // Who is declared just now looks by itself.
  for (const Informer* owners : {&services_, &jobs_}) {
    for (const Informer::RecordPtr& owner : owners->List(parsed->project)) {
      if (DependsOn(*owner, kind, parsed->name)) Wake(owner->key.ToString());
    }
  }
}

void Scheduler::OnReplicaChange(const store::Change& change) {
  absl::StatusOr<v1::Object> object = ObjectOf(change);
  if (!object.ok()) return TellUnreadable(change, object.status(), events_);
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
  const bool put = change.op == store::Change::Op::kPut;
  if (put) replica_runner_->Add(key);
  // Its owner's controller has just made it, and knows.
  Wake(OwnerKeyOf(replica).ToString(),
       put && change.created ? kUnhurried : absl::ZeroDuration());
}

void Scheduler::OnInputChange(const store::Change& change) {
  std::set<std::string> readers;
  for (const Informer::RecordPtr& record : services_.List()) {
    if (record->key.project != change.key.project) continue;
    absl::StatusOr<v1::Object> object = store::Decode(*record);
    if (!object.ok()) continue;
    for (const v1::InputVersion& input :
         InputsOf(TemplateOf(object->service().spec()))) {
      if (input.kind() != change.key.kind || input.name() != change.key.name) {
        continue;
      }
      readers.insert(record->key.name);
      service_runner_->Add(QueueKey(record->key));
    }
  }
  if (readers.empty()) return;
  // Those whose files are swapped.
  for (const Informer::RecordPtr& record : replicas_.List()) {
    if (record->key.project != change.key.project) continue;
    absl::StatusOr<v1::Object> object = store::Decode(*record);
    if (object.ok() && readers.contains(object->replica().spec().service())) {
      replica_runner_->Add(QueueKey(record->key));
    }
  }
}

void Scheduler::OnUnsealed() {
  for (const std::string& key : Keys(services_)) service_runner_->Add(key);
  for (const std::string& key : Keys(replicas_)) replica_runner_->Add(key);
}

std::vector<std::string> Scheduler::Keys(const Informer& informer) const {
  std::vector<std::string> keys;
  for (const Informer::RecordPtr& record : informer.List()) {
    keys.push_back(QueueKey(record->key));
  }
  return keys;
}

std::vector<SlotAddress> Scheduler::HeldAddresses() const {
  std::vector<SlotAddress> held;
  for (const netmesh::Sandbox& sandbox : ports_.network.ListSandboxes()) {
    held.push_back({sandbox.spec.address, sandbox.spec.address6});
  }
  return held;
}

bool Scheduler::IsDown(const std::string& key) {
  absl::MutexLock lock(&mu_);
  return down_.contains(key);
}

}  // namespace bulwark::scheduler
