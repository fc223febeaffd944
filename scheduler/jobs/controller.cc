#include "scheduler/jobs/controller.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/control/pass.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/names.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/reader.h"
#include "scheduler/services/unmet.h"
#include "scheduler/times.h"
#include "scheduler/volumes/mounted.h"
#include "scheduler/volumes/records.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

// A plan leads to the next at most so often in one go.
constexpr int kMaxPasses = 10;
// Until a network that is being made, or a full one, is looked at again.
constexpr absl::Duration kNetworkPoll = absl::Milliseconds(500);

// Why an execution is stopped, for people.
std::string StopSentence(const std::string& reason) {
  constexpr std::pair<const char*, const char*> kSentences[] = {
      {"Deleted", "the job is deleted"},
      {"JobFinished", "the job has ended"},
      {"Suspended", "the job is suspended"},
      {"HostShutdown", "the host shuts down"},
      {"ScaledDown", "fewer may run at once"},
      {"Held", "a volume that it mounts is being restored"},
  };
  for (const auto& [word, sentence] : kSentences) {
    if (reason == word) return sentence;
  }
  return reason;
}

}  // namespace

struct JobController::Pass {
  store::Key key;
  v1::Object job;  // as read; its status becomes the plan's
  uint64_t revision = 0;
  JobView view;
  JobPlan plan;
  store::Batch batch;
  bool durable = false;
  std::optional<AddressAssigner::Session> addresses;
  std::vector<std::string> touched;  // replica keys
  std::vector<PlannedEvent> events;
  absl::Time retry_at = absl::InfiniteFuture();

  const v1::Job& declared() const { return job.job(); }
};

JobController::JobController(store::MetadataStore& store, Clock& clock,
                             Entropy& entropy, EventRecorder& events,
                             AddressAssigner& addresses, Hooks hooks)
    : store_(store),
      clock_(clock),
      entropy_(entropy),
      events_(events),
      addresses_(addresses),
      hooks_(std::move(hooks)) {}

absl::StatusOr<Result> JobController::Reconcile(const std::string& key) {
  for (int i = 0; i < kMaxPasses; ++i) {
    Pass pass;
    ASSIGN_OR_RETURN(pass.key, ParseQueueKey("job", key));
    absl::StatusOr<bool> again = RunOnce(pass);
    // Somebody else wrote one of the records: plan again.
    if (absl::IsAborted(again.status())) continue;
    if (!again.ok()) return again.status();
    if (*again) continue;
    Result result;
    const absl::Time wake = std::min(pass.plan.wake_at, pass.retry_at);
    if (wake != absl::InfiniteFuture()) {
      result.requeue_after =
          std::max(absl::Milliseconds(1), wake - clock_.Now());
    }
    return result;
  }
  return Result{absl::Milliseconds(10)};
}

// Whether what was done calls for another plan.
absl::StatusOr<bool> JobController::RunOnce(Pass& pass) {
  ASSIGN_OR_RETURN(std::optional<v1::Object> job,
                   FindObject(store_, "job", pass.key.project, pass.key.name));
  ASSIGN_OR_RETURN(pass.view.executions,
                   ListReplicasOfJob(store_, pass.key.project, pass.key.name));
  RETURN_IF_ERROR(
      StopOrphans(pass, job.has_value() ? job->job().metadata().uid() : ""));
  if (!job.has_value()) return false;
  pass.job = *std::move(job);
  pass.revision = store::RevisionOf(pass.job);
  RETURN_IF_ERROR(Read(pass));
  pass.plan = PlanJob(pass.view);
  if (pass.plan.deleted) {
    RETURN_IF_ERROR(Delete(pass));
    return false;
  }
  pass.events = pass.plan.events;
  *pass.job.mutable_job()->mutable_status() = pass.plan.status;
  pass.durable = pass.plan.durable_status;
  if (pass.plan.expire) {
    SetTime(pass.job.mutable_job()->mutable_metadata()->mutable_delete_time(),
            pass.view.now);
    pass.durable = true;
    pass.events.push_back(
        {"JobExpired", "it is deleted: ttlAfterFinished has passed"});
  }
  AddMarks(pass);
  RETURN_IF_ERROR(AddExecutions(pass));
  AddRevisions(pass);
  RETURN_IF_ERROR(Commit(pass));
  Announce(pass);
  return pass.durable;
}

absl::Status JobController::Read(Pass& pass) {
  const store::Key& key = pass.key;
  JobView& view = pass.view;
  view.job = pass.job.job();
  ASSIGN_OR_RETURN(view.revisions,
                   ListRevisionsOf(store_, "job", key.project, key.name));
  ASSIGN_OR_RETURN(view.unmet,
                   UnmetOf(store_, key.project, view.job.spec().depends_on()));
  view.shutting_down = hooks_.is_down(QueueKey(key));
  ASSIGN_OR_RETURN(view.held, HeldFor(key, view));
  view.now = clock_.Now();
  return absl::OkStatus();
}

absl::StatusOr<std::string> JobController::HeldFor(const store::Key& key,
                                                   const JobView& view) {
  ASSIGN_OR_RETURN(const std::set<std::string> held,
                   HeldVolumes(store_, key.project));
  if (held.empty()) return std::string();
  // What it declares, and what its executions have.
  std::string volume =
      FirstMounted(TemplateOf(view.job.spec()), key.name, held);
  for (const v1::Revision& r : view.revisions) {
    if (volume.empty()) volume = FirstMounted(r.template_(), key.name, held);
  }
  if (volume.empty()) return std::string();
  return absl::StrCat("volume ", volume,
                      " is being restored; executions start again when that "
                      "is done");
}

absl::Status JobController::AddExecutions(Pass& pass) {
  if (pass.plan.create.empty()) return absl::OkStatus();
  pass.addresses.emplace(addresses_, pass.key.project);
  for (const NewReplica& wanted : pass.plan.create) {
    absl::StatusOr<SlotAddress> address =
        pass.addresses->ForSlot(pass.declared().spec().network(),
                                pass.declared().metadata().uid(), wanted.slot);
    if (absl::IsUnavailable(address.status()) ||
        absl::IsResourceExhausted(address.status())) {
      pass.retry_at = clock_.Now() + kNetworkPoll;
      pass.events.push_back({"AddressUnavailable",
                             std::string(address.status().message()),
                             v1::Event::WARNING});
      break;
    }
    if (!address.ok()) return address.status();
    AddExecution(pass, wanted, *address);
  }
  return absl::OkStatus();
}

void JobController::AddExecution(Pass& pass, const NewReplica& wanted,
                                 const SlotAddress& address) {
  v1::Object object;
  v1::Replica& r = *object.mutable_replica();
  v1::Metadata& metadata = *r.mutable_metadata();
  metadata.set_uid(NewUid(entropy_));
  metadata.set_project(pass.key.project);
  metadata.set_name(ReplicaName(pass.key.name, wanted.slot, metadata.uid()));
  *metadata.mutable_labels() = pass.declared().metadata().labels();
  metadata.set_generation(1);
  SetTime(metadata.mutable_create_time(), pass.view.now);
  v1::ReplicaSpec& spec = *r.mutable_spec();
  spec.set_job(pass.key.name);
  spec.set_service_uid(pass.declared().metadata().uid());
  spec.set_revision(wanted.revision);
  spec.set_slot(wanted.slot);
  spec.set_goal(v1::ReplicaSpec::RUN);
  spec.set_address(address.address);
  spec.set_address6(address.address6);
  spec.set_attempt(wanted.attempt);
  r.mutable_status()->set_state(v1::ReplicaStatus::STARTING);
  SetTime(r.mutable_status()->mutable_state_time(), pass.view.now);
  pass.batch.Put(store::KeyOf(object), store::Encode(object), 0);
  pass.durable = true;
  pass.touched.push_back(QueueKey(metadata));
  pass.events.push_back(
      {"ExecutionCreated",
       absl::StrCat(metadata.name(), " is started: ", wanted.reason)});
}

// Goals of those to stop, and the marks of those that are counted.
void JobController::AddMarks(Pass& pass) {
  for (const v1::Replica& execution : pass.view.executions) {
    const std::string& uid = execution.metadata().uid();
    const auto& count = pass.plan.count;
    const bool counted =
        std::find(count.begin(), count.end(), uid) != count.end();
    const auto stop =
        std::find_if(pass.plan.stop.begin(), pass.plan.stop.end(),
                     [&](const StopReplica& s) { return s.uid == uid; });
    if (!counted && stop == pass.plan.stop.end()) continue;
    v1::Object object;
    v1::Replica& r = *object.mutable_replica();
    r = execution;
    r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    r.mutable_spec()->set_reason(counted ? kCountedReason : stop->reason);
    r.mutable_spec()->set_skip_drain(true);
    r.mutable_metadata()->set_generation(r.metadata().generation() + 1);
    pass.batch.Put(store::KeyOf(object), store::Encode(object),
                   store::RevisionOf(object));
    pass.durable = true;
    if (counted) continue;
    pass.touched.push_back(QueueKey(r.metadata()));
    pass.events.push_back(
        {"ExecutionStopping", absl::StrCat(r.metadata().name(), " is stopped: ",
                                           StopSentence(stop->reason))});
  }
}

void JobController::AddRevisions(Pass& pass) {
  for (const v1::Revision& revision : pass.plan.update) {
    v1::Object object;
    *object.mutable_revision() = revision;
    pass.batch.Put(store::KeyOf(object), store::Encode(object),
                   store::RevisionOf(object));
    pass.durable = true;
    // Its limits have changed.
    for (const v1::Replica& r : pass.view.executions) {
      if (r.spec().revision() != revision.number() || HasEnded(r)) continue;
      pass.touched.push_back(QueueKey(r.metadata()));
    }
  }
  for (const std::string& name : pass.plan.prune) {
    pass.batch.Delete(store::ObjectKey("revision", pass.key.project, name));
    pass.durable = true;
  }
}

absl::Status JobController::Commit(Pass& pass) {
  v1::Object before;
  *before.mutable_job() = pass.view.job;
  if (!AddChange({pass.key, pass.revision, before, pass.job, pass.durable},
                 pass.batch)) {
    return absl::OkStatus();
  }
  absl::Status status = store_.Commit(pass.batch).status();
  pass.addresses.reset();
  return status;
}

void JobController::Announce(const Pass& pass) {
  const std::string key = QueueKey(pass.key);
  for (const std::string& replica : pass.touched) {
    hooks_.replica_changed(replica);
  }
  events_.RecordAll(ReferenceTo(pass.job), pass.events);
  if (pass.plan.needs_revision) hooks_.resolve(key);
  if (std::any_of(pass.view.executions.begin(), pass.view.executions.end(),
                  HasEnded)) {
    hooks_.reap(key);
  }
  if (IsFinished(pass.declared()) && !IsFinished(pass.view.job)) {
    hooks_.wake_dependents(key);
  }
}

absl::Status JobController::Delete(const Pass& pass) {
  store::Batch batch;
  for (const v1::Revision& r : pass.view.revisions) {
    batch.Delete(
        store::ObjectKey("revision", pass.key.project, r.metadata().name()));
  }
  batch.Delete(pass.key, pass.revision);
  RETURN_IF_ERROR(store_.Commit(batch.Essential()).status());
  events_.Record(ReferenceTo(pass.job), "Deleted",
                 "the job and its executions are gone");
  return absl::OkStatus();
}

// Takes them out of the view.
absl::Status JobController::StopOrphans(Pass& pass, const std::string& uid) {
  std::vector<v1::Replica> orphans;
  std::erase_if(pass.view.executions, [&](v1::Replica& r) {
    if (r.spec().service_uid() == uid) return false;
    orphans.push_back(std::move(r));
    return true;
  });
  for (v1::Replica& replica : orphans) {
    if (HasEnded(replica)) {
      hooks_.reap(QueueKey(pass.key));
      continue;
    }
    if (replica.spec().goal() == v1::ReplicaSpec::STOP) continue;
    const std::string key = QueueKey(replica.metadata());
    RETURN_IF_ERROR(StopOrphan(store_, std::move(replica), "JobGone"));
    hooks_.replica_changed(key);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
