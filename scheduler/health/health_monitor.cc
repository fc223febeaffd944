#include "scheduler/health/health_monitor.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread_name.h"
#include "scheduler/readable.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

using Role = PlannedProbe::Role;

constexpr absl::Duration kResyncPeriod = absl::Seconds(10);
constexpr int kWriteAttempts = 5;
// Why a replica is not ready is written when it has had this long to start.
constexpr absl::Duration kFirstReason = absl::Seconds(1);
// Between two reasons.
constexpr absl::Duration kReasonPeriod = absl::Seconds(5);

store::Filter ReplicaFilter() {
  store::Filter filter;
  filter.kind = "replica";
  return filter;
}

// Executions of jobs are not: their end tells how they did.
bool IsProbed(const v1::Replica& replica) {
  return replica.spec().job().empty() &&
         replica.status().state() == v1::ReplicaStatus::RUNNING &&
         replica.spec().goal() == v1::ReplicaSpec::RUN;
}

std::string ContainerId(const v1::Replica& replica, const std::string& name) {
  for (const v1::ContainerStatus& c : replica.status().containers()) {
    if (c.name() == name) return c.id();
  }
  return "";
}

std::string PausedOf(const v1::Replica& replica) {
  for (const v1::ContainerStatus& c : replica.status().containers()) {
    if (c.paused()) return c.name();
  }
  return "";
}

}  // namespace

HealthMonitor::HealthMonitor(store::MetadataStore& store,
                             engine::Images& images, Prober& prober,
                             Clock& clock, int threads, TellEvent tell)
    : store_(store),
      images_(images),
      prober_(prober),
      clock_(clock),
      threads_(threads),
      tell_(std::move(tell)),
      follower_("health", store, clock, ReplicaFilter(),
                [this](const std::vector<store::Change>* changes) {
                  return Pass(changes);
                }) {}

HealthMonitor::~HealthMonitor() { Stop(); }

void HealthMonitor::Start() {
  follower_.Start();
  for (int i = 0; i < threads_; ++i) {
    workers_.emplace_back([this] { WorkLoop(); });
  }
}

void HealthMonitor::Stop() {
  follower_.Stop();
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  for (std::thread& t : workers_) t.join();
  workers_.clear();
}

absl::StatusOr<absl::Duration> HealthMonitor::Pass(
    const std::vector<store::Change>* changes) {
  // Now and then everything, for replicas whose probes could not be planned.
  if (changes == nullptr || changes->empty()) {
    RETURN_IF_ERROR(Resync());
    return kResyncPeriod;
  }
  for (const store::Change& change : *changes) {
    const bool gone = change.op == store::Change::Op::kDelete;
    const absl::StatusOr<v1::Object> object = store::Decode(
        change.key, gone ? change.previous : change.value, change.revision);
    if (!object.ok()) continue;  // the resync forgets it
    if (gone) {
      absl::MutexLock lock(&mu_);
      tracked_.erase(object->replica().metadata().uid());
    } else {
      Update(*object);
    }
  }
  return kResyncPeriod;
}

absl::Status HealthMonitor::Resync() {
  ASSIGN_OR_RETURN(auto listing, store::ListReadable(store_, "replica"));
  std::set<std::string> present;
  for (const v1::Object& object : listing.objects) {
    present.insert(object.replica().metadata().uid());
    Update(object);
  }
  absl::MutexLock lock(&mu_);
  for (auto it = tracked_.begin(); it != tracked_.end();) {
    it = present.count(it->first) ? std::next(it) : tracked_.erase(it);
  }
  return absl::OkStatus();
}

void HealthMonitor::Update(const v1::Object& object) {
  const v1::Replica& replica = object.replica();
  const std::string& uid = replica.metadata().uid();
  {
    absl::MutexLock lock(&mu_);
    if (!IsProbed(replica)) {
      tracked_.erase(uid);
      return;
    }
  }
  if (NotePause(replica)) return;
  absl::StatusOr<std::vector<PlannedProbe>> plan = Plan(replica);
  if (!plan.ok()) {
    // Its records are incomplete: the resync comes back to it.
    LOG_WARN("probes not planned", {{"replica", replica.metadata().name()},
                                    {"cause", plan.status()}});
    return;
  }
  Tracked tracked;
  tracked.key = store::KeyOf(object);
  tracked.ready = replica.status().ready();
  tracked.was_ready = tracked.ready;
  tracked.liveness_failed = replica.status().liveness_failed();
  tracked.told = replica.status().probe_message();
  tracked.tell_from = clock_.Steady() + kFirstReason;
  tracked.paused = PausedOf(replica);
  for (PlannedProbe& p : *plan) {
    const bool healthy = p.role == Role::kLiveness || tracked.ready;
    tracked.probes.push_back(
        {p, ProbeState(p.policy, healthy), clock_.Steady()});
    if (p.role == Role::kLiveness && !tracked.ready) {
      // The application gets one period to come up.
      tracked.probes.back().due += p.policy.period;
    }
  }
  {
    absl::MutexLock lock(&mu_);
    Tracked& stored = tracked_[uid] = std::move(tracked);
    Judge(uid, stored, "");
    ++changes_;
  }
  WriteVerdicts();
}

bool HealthMonitor::NotePause(const v1::Replica& replica) {
  const std::string& uid = replica.metadata().uid();
  {
    absl::MutexLock lock(&mu_);
    const auto it = tracked_.find(uid);
    if (it == tracked_.end()) return false;
    Tracked& tracked = it->second;
    const std::string paused = PausedOf(replica);
    if (tracked.paused == paused) return true;
    tracked.paused = paused;
    for (Probe& p : tracked.probes) p.due = clock_.Steady();
    Judge(uid, tracked, "");
    ++changes_;
  }
  WriteVerdicts();
  return true;
}

absl::StatusOr<std::vector<PlannedProbe>> HealthMonitor::Plan(
    const v1::Replica& replica) {
  const std::string& project = replica.metadata().project();
  const std::string& service_name = replica.spec().service();
  ASSIGN_OR_RETURN(
      v1::Object revision,
      store::GetObject(
          store_, store::ObjectKey("revision", project,
                                   absl::StrCat(service_name, "-",
                                                replica.spec().revision()))));
  ASSIGN_OR_RETURN(v1::Object service,
                   store::GetObject(store_, store::ObjectKey("service", project,
                                                             service_name)));
  std::vector<v1::Port> ports(service.service().spec().ports().begin(),
                              service.service().spec().ports().end());
  std::vector<PlannedProbe> all;
  for (const v1::Container& c : revision.revision().template_().containers()) {
    std::optional<engine::ImageHealthcheck> healthcheck;
    auto digest = revision.revision().image_digests().find(c.image());
    absl::StatusOr<engine::Image> image = images_.Get(
        digest == revision.revision().image_digests().end() ? c.image()
                                                            : digest->second);
    if (image.ok()) healthcheck = image->config.healthcheck;
    // Only the first container is expected to listen unless it says so itself.
    const bool first = &c == &revision.revision().template_().containers(0);
    std::vector<PlannedProbe> probes =
        PlanProbes(c, replica, ContainerId(replica, c.name()),
                   first ? ports : std::vector<v1::Port>(), healthcheck);
    std::move(probes.begin(), probes.end(), std::back_inserter(all));
  }
  return all;
}

HealthMonitor::Probe* HealthMonitor::Earliest(std::string& uid) {
  Probe* earliest = nullptr;
  for (auto& [id, tracked] : tracked_) {
    if (!tracked.paused.empty()) continue;
    const bool started = std::all_of(
        tracked.probes.begin(), tracked.probes.end(), [](const Probe& p) {
          return p.plan.role != Role::kStartup || p.state.healthy();
        });
    for (Probe& p : tracked.probes) {
      if (p.running || started == (p.plan.role == Role::kStartup)) continue;
      if (earliest == nullptr || p.due < earliest->due) {
        earliest = &p;
        uid = id;
      }
    }
  }
  return earliest;
}

HealthMonitor::Probe* HealthMonitor::AwaitDue(std::string& uid) {
  while (!stop_) {
    Probe* probe = Earliest(uid);
    const absl::Duration now = clock_.Steady();
    if (probe != nullptr && probe->due <= now) return probe;
    const uint64_t seen = changes_;
    auto woken = [this, seen]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return stop_ || changes_ != seen;
    };
    clock_.AwaitUntil(mu_, absl::Condition(&woken),
                      probe == nullptr ? now + absl::Seconds(60) : probe->due);
  }
  return nullptr;
}

void HealthMonitor::WorkLoop() {
  NameThread("probes");
  absl::MutexLock lock(&mu_);
  while (true) {
    // One thread waits for the next probe, the others for its place: a change
    // wakes one of them.
    auto free = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !awaited_; };
    mu_.Await(absl::Condition(&free));
    awaited_ = true;
    std::string uid;
    Probe* probe = AwaitDue(uid);
    awaited_ = false;
    if (probe == nullptr) return;
    probe->running = true;
    const size_t index = probe - tracked_[uid].probes.data();
    const PlannedProbe plan = probe->plan;
    mu_.Unlock();
    const ProbeResult result = prober_.Run(plan.target);
    mu_.Lock();
    auto it = tracked_.find(uid);
    if (it == tracked_.end() || index >= it->second.probes.size()) continue;
    Probe& ran = it->second.probes[index];
    ran.running = false;
    // What froze meanwhile says nothing about the application.
    if (!it->second.paused.empty()) continue;
    ran.state.Record(result.success);
    ran.due = clock_.Steady() + ran.state.NextDelay();
    ++changes_;
    Judge(uid, it->second, result.message);
    if (verdicts_.empty()) continue;
    mu_.Unlock();
    WriteVerdicts();
    mu_.Lock();
  }
}

void HealthMonitor::Judge(const std::string& uid, Tracked& tracked,
                          std::string message) {
  bool ready = tracked.paused.empty();
  if (!ready) {
    message = absl::StrCat("container ", tracked.paused,
                           " is paused; ctl unpause lets it go on");
  }
  bool liveness_failed = tracked.liveness_failed;
  for (const Probe& p : tracked.probes) {
    if (p.plan.role == Role::kLiveness) {
      liveness_failed |= p.state.failed();
    } else {
      ready &= p.state.healthy();
      // An application that never starts is replaced, too.
      if (p.plan.role == Role::kStartup) liveness_failed |= p.state.failed();
    }
  }
  const bool same =
      tracked.ready == ready && tracked.liveness_failed == liveness_failed;
  const absl::Duration now = clock_.Steady();
  const bool news = !ready && !message.empty() && message != tracked.told &&
                    now >= tracked.tell_from;
  if (same && !news) return;
  tracked.ready = ready;
  tracked.liveness_failed = liveness_failed;
  if (!ready && !message.empty()) {
    tracked.told = message;
    tracked.tell_from = std::max(tracked.tell_from, now + kReasonPeriod);
  }
  verdicts_.push_back(
      {tracked.key, uid, ready, liveness_failed, std::move(message)});
}

void HealthMonitor::WriteVerdicts() {
  absl::MutexLock lock(&mu_);
  // One writer at a time: a replica's verdicts are written in their order.
  if (writing_) return;
  writing_ = true;
  while (!verdicts_.empty()) {
    const Verdict verdict = std::move(verdicts_.front());
    verdicts_.pop_front();
    auto it = tracked_.find(verdict.uid);
    const bool was_ready = it != tracked_.end() && it->second.was_ready;
    mu_.Unlock();
    const absl::Status status = Write(verdict, was_ready);
    mu_.Lock();
    it = tracked_.find(verdict.uid);
    if (it == tracked_.end() || absl::IsNotFound(status)) continue;
    Tracked& tracked = it->second;
    if (status.ok()) {
      tracked.was_ready |= verdict.ready;
      tracked.complaint.clear();
      continue;
    }
    // As if it had never been judged: the next result tries again.
    tracked.ready = !verdict.ready;
    if (tracked.complaint == status.ToString()) continue;
    tracked.complaint = status.ToString();
    LOG_WARN("probe result not recorded, probing again",
             {{"replica", verdict.key.name}, {"cause", status}});
  }
  writing_ = false;
}

absl::Status HealthMonitor::Write(const Verdict& verdict, bool was_ready) {
  absl::Status status;
  for (int attempt = 0; attempt < kWriteAttempts; ++attempt) {
    ASSIGN_OR_RETURN(v1::Object object, store::GetObject(store_, verdict.key));
    v1::Replica& replica = *object.mutable_replica();
    if (replica.metadata().uid() != verdict.uid || !IsProbed(replica)) {
      return absl::OkStatus();
    }
    v1::ReplicaStatus& s = *replica.mutable_status();
    if (verdict.ready && !s.ready()) {
      SetTime(s.mutable_ready_time(), clock_.Now());
    } else if (!verdict.ready) {
      s.clear_ready_time();
    }
    s.set_ready(verdict.ready);
    s.set_liveness_failed(verdict.liveness_failed);
    s.set_probe_message(Readable(verdict.message));
    status = store_
                 .Commit(store::Batch()
                             .Put(verdict.key, store::Encode(object),
                                  store::RevisionOf(object))
                             .NotDurable()
                             .Essential())
                 .status();
    if (status.ok() && was_ready) Tell(replica, verdict);
    if (!absl::IsAborted(status)) return status;
  }
  return status;
}

void HealthMonitor::Tell(const v1::Replica& replica, const Verdict& verdict) {
  if (!tell_ || (!verdict.ready && verdict.message.empty())) return;
  v1::ObjectReference subject;
  subject.set_kind("service");
  subject.set_project(verdict.key.project);
  subject.set_name(replica.spec().service());
  subject.set_uid(replica.spec().service_uid());
  const std::string& name = replica.metadata().name();
  if (verdict.ready) {
    tell_(subject, "ReplicaRecovered", absl::StrCat(name, " is ready again"),
          v1::Event::NORMAL);
  } else {
    tell_(
        subject, "ProbeFailed",
        absl::StrCat(name, " is not ready: ", replica.status().probe_message()),
        v1::Event::WARNING);
  }
}

}  // namespace bulwark::scheduler
