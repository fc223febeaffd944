#include "daemon/metrics/lifecycle.h"

#include <utility>

#include "base/status.h"
#include "daemon/metrics/replica_labels.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

using State = v1::ReplicaStatus;

// Nothing happens in a store by time alone.
constexpr absl::Duration kIdle = absl::Minutes(10);
constexpr absl::Duration kGather = absl::Milliseconds(50);
// Said from the start, so that the first failure is seen as a step.
constexpr const char* kUsualReasons[] = {"Error", "OOMKilled", "LivenessFailed",
                                         "LaunchFailed"};

bool HasEnded(State::State state) {
  return state == State::FAILED || state == State::STOPPED;
}

}  // namespace

Lifecycle::Lifecycle(store::MetadataStore& store, Clock& clock)
    : store_(store),
      follower_(
          "metrics", store, clock, {},
          [this](const std::vector<store::Change>* changes)
              -> absl::StatusOr<absl::Duration> {
            RETURN_IF_ERROR(Pass(changes));
            return kIdle;
          },
          kGather) {}

absl::Status Lifecycle::SeeAll() {
  std::vector<v1::Object> objects;
  std::set<Name> services;
  for (const char* kind : {"service", "revision", "replica"}) {
    ASSIGN_OR_RETURN(auto all, store::ListReadable(store_, kind));
    for (v1::Object& object : all.objects) {
      if (object.has_service()) {
        const v1::Metadata& metadata = object.service().metadata();
        services.insert({ProjectOf(metadata), metadata.name()});
      }
      objects.push_back(std::move(object));
    }
  }
  absl::MutexLock lock(&mu_);
  std::erase_if(services_,
                [&](const auto& s) { return !services.contains(s.first); });
  replicas_.clear();
  revisions_.clear();
  for (const v1::Object& object : objects) See(object, false);
  return absl::OkStatus();
}

absl::Status Lifecycle::Pass(const std::vector<store::Change>* changes) {
  if (changes == nullptr) return SeeAll();
  for (const store::Change& c : *changes) {
    if (c.key.kind != "service" && c.key.kind != "revision" &&
        c.key.kind != "replica") {
      continue;
    }
    const bool put = c.op == store::Change::Op::kPut;
    const absl::StatusOr<v1::Object> object =
        store::Decode(c.key, put ? c.value : c.previous, c.revision);
    // A record that cannot be read is for its controller to complain of.
    if (!object.ok()) continue;
    absl::MutexLock lock(&mu_);
    if (put) {
      See(*object, true);
    } else {
      Forget(*object);
    }
  }
  return absl::OkStatus();
}

void Lifecycle::See(const v1::Object& object, bool counting) {
  if (object.has_replica()) return SeeReplica(object.replica(), counting);
  if (object.has_revision()) return SeeRevision(object.revision(), counting);
  const v1::Metadata& metadata = object.service().metadata();
  Counts& counts = services_[{ProjectOf(metadata), metadata.name()}];
  for (const char* reason : kUsualReasons) counts.failures[reason] += 0;
}

void Lifecycle::SeeReplica(const v1::Replica& replica, bool counting) {
  auto service =
      services_.find({ProjectOf(replica.metadata()), replica.spec().service()});
  if (service == services_.end()) return;
  Counts& counts = service->second;
  const std::string& uid = replica.metadata().uid();
  const State::State state = replica.status().state();
  auto [known, is_new] = replicas_.emplace(uid, state);
  const bool ended_now =
      HasEnded(state) && (is_new || !HasEnded(known->second));
  known->second = state;
  const int slot = replica.spec().slot();
  if (is_new && !HasEnded(state) && counts.failed.erase(slot) > 0 && counting) {
    ++counts.restarts;
  }
  if (!ended_now || state != State::FAILED) return;
  counts.failed.insert(slot);
  if (!counting) return;
  const std::string& reason = replica.status().reason();
  ++counts.failures[reason.empty() ? "Error" : reason];
  if (reason == "OOMKilled") ++counts.oom_kills;
}

void Lifecycle::SeeRevision(const v1::Revision& revision, bool counting) {
  auto service =
      services_.find({ProjectOf(revision.metadata()), revision.service()});
  if (service == services_.end()) return;
  auto& [begun, failed] = revisions_[revision.metadata().uid()];
  const int64_t now_begun = revision.rollout_time().seconds() * 1'000'000 +
                            revision.rollout_time().nanos() / 1000;
  const bool now_failed = !revision.failure().empty();
  if (counting) {
    service->second.rollouts += now_begun != begun && now_begun != 0;
    service->second.rollbacks += now_failed && !failed;
  }
  begun = now_begun;
  failed = now_failed;
}

void Lifecycle::Forget(const v1::Object& object) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  if (object.has_service()) {
    services_.erase({ProjectOf(metadata), metadata.name()});
  } else {
    replicas_.erase(metadata.uid());
    revisions_.erase(metadata.uid());
  }
}

void Lifecycle::AddTo(metrics::Samples& samples) const {
  absl::MutexLock lock(&mu_);
  for (const auto& [name, counts] : services_) {
    const auto& [project, service] = name;
    samples.Add("bulwark_service_restarts_total", {project, service},
                static_cast<double>(counts.restarts));
    samples.Add("bulwark_service_oom_kills_total", {project, service},
                static_cast<double>(counts.oom_kills));
    samples.Add("bulwark_service_rollouts_total", {project, service},
                static_cast<double>(counts.rollouts));
    samples.Add("bulwark_service_rollbacks_total", {project, service},
                static_cast<double>(counts.rollbacks));
    for (const auto& [reason, count] : counts.failures) {
      samples.Add("bulwark_service_replica_failures_total",
                  {project, service, reason}, static_cast<double>(count));
    }
  }
}

}  // namespace bulwark::daemon
