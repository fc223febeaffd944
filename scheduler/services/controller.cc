#include "scheduler/services/controller.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/control/pass.h"
#include "scheduler/names.h"
#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/inputs.h"
#include "scheduler/services/reader.h"
#include "scheduler/services/revisions.h"
#include "scheduler/services/unmet.h"
#include "scheduler/services/volumes.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

// A plan leads to the next at most so often in one go.
constexpr int kMaxPasses = 10;
// Until a network that is being made is looked at again, and a full one, which
// takes reading every replica of the project.
constexpr absl::Duration kNetworkPoll = absl::Milliseconds(500);
constexpr absl::Duration kFullNetworkPoll = absl::Seconds(5);
// Until what was made is looked at again, unless it tells of itself before.
constexpr absl::Duration kLookAgain = absl::Milliseconds(20);
constexpr char kAddresses[] = "AddressesAssigned";

bool Holds(const v1::Service& service, const char* type) {
  const v1::Condition* c = FindCondition(service.status().conditions(), type);
  return c != nullptr && c->status() == v1::Condition::TRUE;
}

// Why a replica is stopped, for people.
std::string StopSentence(const std::string& reason) {
  constexpr std::pair<const char*, const char*> kSentences[] = {
      {"Deleted", "the service is deleted"},
      {"HostShutdown", "the host shuts down"},
      {"Held", "a volume that it mounts is being restored"},
      {"Stopped", "the service is to stop"},
      {"ScaledDown", "fewer replicas are wanted"},
      {"RolledBack", "its revision is rolled back"},
      {"Replaced", "another revision takes its place"},
  };
  for (const auto& [word, sentence] : kSentences) {
    if (reason == word) return sentence;
  }
  return reason;
}

v1::Replica* Find(std::vector<v1::Replica>& replicas, const std::string& uid) {
  for (v1::Replica& r : replicas) {
    if (r.metadata().uid() == uid) return &r;
  }
  return nullptr;
}

}  // namespace

struct ServiceController::Pass {
  store::Key key;
  v1::Object service;  // as read; its status becomes the plan's
  uint64_t revision = 0;
  std::optional<v1::Scale> scale;
  ServiceView view;
  ServicePlan plan;
  // The number of the view's last revision if it is not stored yet.
  int64_t recorded = 0;
  store::Batch batch;
  bool durable = false;
  std::optional<AddressAssigner::Session> addresses;
  // Keys of replicas that were there before. What is new is seen in the store,
  // before it is on the disk.
  std::vector<std::string> touched;
  std::vector<PlannedEvent> events;
  absl::Time retry_at = absl::InfiniteFuture();

  const v1::Service& declared() const { return service.service(); }
};

ServiceController::ServiceController(store::MetadataStore& store, Clock& clock,
                                     Entropy& entropy, EventRecorder& events,
                                     AddressAssigner& addresses, Hooks hooks,
                                     ServiceControllerOptions options)
    : store_(store),
      clock_(clock),
      entropy_(entropy),
      events_(events),
      addresses_(addresses),
      hooks_(std::move(hooks)),
      options_(std::move(options)) {}

absl::StatusOr<Result> ServiceController::Reconcile(const std::string& key) {
  for (int i = 0; i < kMaxPasses; ++i) {
    Pass pass;
    ASSIGN_OR_RETURN(pass.key, ParseQueueKey("service", key));
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
absl::StatusOr<bool> ServiceController::RunOnce(Pass& pass) {
  ASSIGN_OR_RETURN(std::optional<v1::Object> service,
                   FindService(store_, pass.key.project, pass.key.name));
  ASSIGN_OR_RETURN(pass.view.replicas,
                   ListReplicas(store_, pass.key.project, pass.key.name));
  RETURN_IF_ERROR(StopOrphans(
      pass, service.has_value() ? service->service().metadata().uid() : ""));
  if (!service.has_value()) return false;
  pass.service = *std::move(service);
  pass.revision = store::RevisionOf(pass.service);
  pass.addresses.emplace(addresses_, pass.key.project);
  RETURN_IF_ERROR(Read(pass));
  Plan(pass);
  if (pass.plan.deleted) {
    RETURN_IF_ERROR(Delete(pass));
    return false;
  }
  if (pass.recorded != 0) {
    pass.events.push_back({"RevisionCreated", RevisionSentence(pass.recorded)});
  }
  pass.events.insert(pass.events.end(), pass.plan.events.begin(),
                     pass.plan.events.end());
  *pass.service.mutable_service()->mutable_status() = pass.plan.status;
  RETURN_IF_ERROR(AddStops(pass));
  RETURN_IF_ERROR(AddReplicas(pass));
  RETURN_IF_ERROR(AddVirtualAddress(pass));
  AddRevisions(pass);
  RETURN_IF_ERROR(Commit(pass));
  Announce(pass);
  if (pass.durable && !pass.plan.create.empty()) {
    // What comes next is for them to tell, and another plan at once would only
    // delay them.
    pass.retry_at = std::min(pass.retry_at, clock_.Now() + kLookAgain);
    return false;
  }
  return pass.durable;
}

absl::Status ServiceController::Read(Pass& pass) {
  const store::Key& key = pass.key;
  ServiceView& view = pass.view;
  view.service = pass.service.service();
  ASSIGN_OR_RETURN(view.revisions,
                   ListRevisions(store_, key.project, key.name));
  ASSIGN_OR_RETURN(pass.scale, FindScale(store_, view.service));
  view.scaled = CountOf(pass.scale);
  ASSIGN_OR_RETURN(view.unmet, UnmetOf(store_, key.project,
                                       view.service.spec().depends_on()));
  ASSIGN_OR_RETURN(view.inputs,
                   ReadInputs(store_, key.project,
                              InputsOf(TemplateOf(view.service.spec()))));
  if (hooks_.sealed != nullptr) view.sealed = hooks_.sealed();
  view.shutting_down = hooks_.is_down(QueueKey(key));
  view.now = clock_.Now();
  return ReadVolumes(store_, key, view);
}

void ServiceController::Plan(Pass& pass) {
  pass.plan = PlanService(pass.view, options_.bug);
  if (!pass.plan.needs_revision || hooks_.at_hand == nullptr) return;
  const std::optional<v1::Revision> revision = hooks_.at_hand(
      pass.service, pass.view.revisions,
      DeclaredTemplate(pass.view.service.spec(), pass.view.inputs));
  if (!revision.has_value()) return;
  pass.view.revisions.push_back(*revision);
  pass.recorded = revision->number();
  pass.plan = PlanService(pass.view, options_.bug);
}

absl::Status ServiceController::AddReplicas(Pass& pass) {
  absl::Status problem;
  for (const NewReplica& wanted : pass.plan.create) {
    absl::StatusOr<SlotAddress> address = AddressFor(pass, wanted);
    if (absl::IsUnavailable(address.status()) ||
        absl::IsResourceExhausted(address.status())) {
      problem = address.status();
      continue;
    }
    if (!address.ok()) return address.status();
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
    spec.set_service(pass.key.name);
    spec.set_service_uid(pass.declared().metadata().uid());
    spec.set_revision(wanted.revision);
    spec.set_slot(wanted.slot);
    spec.set_goal(v1::ReplicaSpec::RUN);
    spec.set_address(address->address);
    spec.set_address6(address->address6);
    spec.set_attempt(wanted.attempt);
    r.mutable_status()->set_state(v1::ReplicaStatus::STARTING);
    SetTime(r.mutable_status()->mutable_state_time(), pass.view.now);
    pass.batch.Put(store::KeyOf(object), store::Encode(object), 0);
    pass.durable = true;
    pass.events.push_back(
        {"ReplicaCreated",
         absl::StrCat(metadata.name(), " is started: ", wanted.reason)});
  }
  TellOfAddresses(pass, problem);
  return absl::OkStatus();
}

// `problem` is why some replica got none.
void ServiceController::TellOfAddresses(Pass& pass,
                                        const absl::Status& problem) {
  v1::ServiceStatus& status = *pass.service.mutable_service()->mutable_status();
  v1::Condition condition;
  condition.set_type(kAddresses);
  if (problem.ok()) {
    if (FindCondition(status.conditions(), kAddresses) != nullptr) {
      condition.set_status(v1::Condition::TRUE);
      condition.set_reason("Assigned");
      condition.set_message("every replica has an address");
      SetCondition(*status.mutable_conditions(), std::move(condition),
                   pass.view.now);
    }
    return;
  }
  pass.retry_at =
      clock_.Now() +
      (absl::IsResourceExhausted(problem) ? kFullNetworkPoll : kNetworkPoll);
  condition.set_status(v1::Condition::FALSE);
  condition.set_reason("AddressUnavailable");
  condition.set_message(std::string(problem.message()));
  // Told once, not with each try.
  if (SetCondition(*status.mutable_conditions(), std::move(condition),
                   pass.view.now)) {
    pass.events.push_back({"AddressUnavailable", std::string(problem.message()),
                           v1::Event::WARNING});
  }
}

absl::StatusOr<SlotAddress> ServiceController::AddressFor(
    Pass& pass, const NewReplica& wanted) {
  std::string network;
  for (const v1::Revision& r : pass.view.revisions) {
    if (r.number() == wanted.revision) network = r.template_().network();
  }
  return pass.addresses->ForSlot(network, pass.declared().metadata().uid(),
                                 wanted.slot);
}

absl::Status ServiceController::AddStops(Pass& pass) {
  for (const StopReplica& stop : pass.plan.stop) {
    v1::Object object;
    v1::Replica& r = *object.mutable_replica();
    const v1::Replica* found = Find(pass.view.replicas, stop.uid);
    if (found == nullptr) continue;
    r = *found;
    r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    r.mutable_spec()->set_reason(stop.reason);
    r.mutable_spec()->set_skip_drain(stop.skip_drain);
    r.mutable_metadata()->set_generation(r.metadata().generation() + 1);
    pass.batch.Put(store::KeyOf(object), store::Encode(object),
                   store::RevisionOf(object));
    pass.durable = true;
    pass.touched.push_back(QueueKey(r.metadata()));
    if (HasEnded(r)) continue;
    pass.events.push_back(
        {"ReplicaStopping", absl::StrCat(r.metadata().name(), " is stopped: ",
                                         StopSentence(stop.reason))});
  }
  return absl::OkStatus();
}

absl::Status ServiceController::AddVirtualAddress(Pass& pass) {
  v1::ServiceStatus& status = *pass.service.mutable_service()->mutable_status();
  if (!status.virtual_address().empty() ||
      pass.declared().metadata().has_delete_time()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::string address,
                   pass.addresses->ForService(options_.virtual_pool));
  status.set_virtual_address(address);
  pass.durable = true;
  return absl::OkStatus();
}

void ServiceController::AddRevisions(Pass& pass) {
  const auto put = [&pass](const v1::Revision& revision) {
    v1::Object object;
    *object.mutable_revision() = revision;
    // One that is new has no version yet: none of its name may exist.
    pass.batch.Put(store::KeyOf(object), store::Encode(object),
                   store::RevisionOf(object));
    pass.durable = true;
  };
  const bool planned =
      std::any_of(pass.plan.update.begin(), pass.plan.update.end(),
                  [&pass](const v1::Revision& revision) {
                    return revision.number() == pass.recorded;
                  });
  if (pass.recorded != 0 && !planned) put(pass.view.revisions.back());
  for (const v1::Revision& revision : pass.plan.update) {
    put(revision);
    // Its limits may have changed.
    for (const v1::Replica& r : pass.view.replicas) {
      if (r.spec().revision() != revision.number() || HasEnded(r)) continue;
      pass.touched.push_back(QueueKey(r.metadata()));
    }
  }
  for (const std::string& name : pass.plan.prune) {
    pass.batch.Delete(store::ObjectKey("revision", pass.key.project, name));
    pass.durable = true;
  }
}

absl::Status ServiceController::Commit(Pass& pass) {
  const v1::ObjectReference subject = ReferenceTo(pass.declared());
  v1::Object before = pass.service;
  *before.mutable_service()->mutable_status() = pass.view.service.status();
  if (!AddChange({pass.key, pass.revision, before, pass.service, pass.durable},
                 pass.batch)) {
    events_.RecordAll(subject, pass.events);
    return absl::OkStatus();
  }
  // Nor is the plan right for another count than the one that was read.
  if (pass.durable) RequireScale(pass.scale, pass.batch);
  // A stop and what is pruned have effects that last, and wait for the disk. A
  // start waits with those that do (Launcher::Start).
  if (pass.plan.stop.empty() && pass.plan.prune.empty()) {
    pass.batch.SeenEarly();
  }
  EventRecorder::Staged told = events_.Stage(subject, pass.events, pass.batch);
  RETURN_IF_ERROR(store_.Commit(pass.batch).status());
  told.Committed();
  pass.addresses.reset();
  return absl::OkStatus();
}

void ServiceController::Announce(const Pass& pass) {
  const std::string key = QueueKey(pass.key);
  for (const std::string& replica : pass.touched) {
    hooks_.replica_changed(replica);
  }
  if (pass.plan.needs_revision) {
    const v1::Service& seen = pass.view.service;
    hooks_.resolve(key, seen.status().observed_generation() <
                            seen.metadata().generation());
  }
  if (std::any_of(pass.view.replicas.begin(), pass.view.replicas.end(),
                  HasEnded)) {
    hooks_.reap(key);
  }
  const v1::ServiceStatus& before = pass.view.service.status();
  const v1::ServiceStatus& after = pass.declared().status();
  if (before.ready_replicas() != after.ready_replicas() ||
      before.replicas() != after.replicas() ||
      Holds(pass.view.service, "Available") !=
          Holds(pass.declared(), "Available")) {
    hooks_.wake_dependents(key);
  }
}

absl::Status ServiceController::Delete(const Pass& pass) {
  store::Batch batch;
  for (const v1::Revision& r : pass.view.revisions) {
    batch.Delete(
        store::ObjectKey("revision", pass.key.project, r.metadata().name()));
  }
  batch.Delete(store::ObjectKey("scale", pass.key.project, pass.key.name));
  batch.Delete(pass.key, pass.revision);
  RETURN_IF_ERROR(store_.Commit(batch).status());
  events_.Record(ReferenceTo(pass.declared()), "Deleted",
                 "the service and its replicas are gone");
  hooks_.wake_dependents(QueueKey(pass.key));
  return absl::OkStatus();
}

// Takes them out of the view.
absl::Status ServiceController::StopOrphans(Pass& pass,
                                            const std::string& uid) {
  std::vector<v1::Replica> orphans;
  std::erase_if(pass.view.replicas, [&](v1::Replica& r) {
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
    RETURN_IF_ERROR(StopOrphan(store_, std::move(replica), "ServiceGone"));
    hooks_.replica_changed(key);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
