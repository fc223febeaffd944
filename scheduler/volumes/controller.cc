#include "scheduler/volumes/controller.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/names.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "scheduler/volumes/mounted.h"
#include "scheduler/volumes/plan.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

constexpr int kWorkers = 4;
// A lost hint about a replica costs no more than this.
constexpr absl::Duration kUsersPoll = absl::Seconds(2);
// A replica's start makes several changes: they are looked at together.
constexpr absl::Duration kReplicaDelay = absl::Milliseconds(500);
constexpr int kAttempts = 32;

store::Filter OfKind(const char* kind) {
  store::Filter filter;
  filter.kind = kind;
  return filter;
}

}  // namespace

VolumeController::VolumeController(VolumePorts ports)
    : ports_(std::move(ports)),
      volumes_("volumes", ports_.store, ports_.clock, ports_.entropy,
               OfKind("volume"),
               [this](const store::Change& c) { OnVolumeChange(c); }),
      works_("volume-works", ports_.store, ports_.clock, ports_.entropy,
             OfKind(kVolumeWork),
             [this](const store::Change& c) { OnWorkChange(c); }),
      replicas_("volume-users", ports_.store, ports_.clock, ports_.entropy,
                OfKind("replica"),
                [this](const store::Change& c) { OnReplicaChange(c); }) {
  RunnerOptions options;
  options.name = "volume";
  options.workers = kWorkers;
  runner_ = std::make_unique<Runner>(
      std::move(options), ports_.clock, ports_.entropy,
      [this](const std::string& key) { return Reconcile(key); },
      [this] {
        absl::MutexLock lock(&mu_);
        std::vector<std::string> keys(all_.begin(), all_.end());
        keys.insert(keys.end(), working_.begin(), working_.end());
        return keys;
      });
}

VolumeController::~VolumeController() { Stop(); }

absl::Status VolumeController::Start() {
  RETURN_IF_ERROR(works_.Start());
  RETURN_IF_ERROR(volumes_.Start());
  RETURN_IF_ERROR(replicas_.Start());
  runner_->Start();
  return absl::OkStatus();
}

void VolumeController::Interrupt() {
  absl::MutexLock lock(&mu_);
  stop_ = true;
}

void VolumeController::Stop() {
  Interrupt();
  if (std::exchange(stopped_, true)) return;
  works_.Stop();
  volumes_.Stop();
  replicas_.Stop();
  runner_->Stop();
}

bool VolumeController::stopping() const {
  absl::MutexLock lock(&mu_);
  return stop_;
}

void VolumeController::OnVolumeChange(const store::Change& change) {
  const std::string key = QueueKey(change.key);
  bool deleting = false;
  if (change.op == store::Change::Op::kPut) {
    absl::StatusOr<v1::Object> object =
        store::Decode(change.key, change.value, change.revision);
    deleting = object.ok() && object->volume().metadata().has_delete_time();
  }
  {
    absl::MutexLock lock(&mu_);
    if (change.op == store::Change::Op::kPut) {
      all_.insert(key);
    } else {
      all_.erase(key);
    }
    if (deleting) {
      deleting_.insert(key);
    } else {
      deleting_.erase(key);
    }
  }
  runner_->Add(key);
}

void VolumeController::OnWorkChange(const store::Change& change) {
  const std::string key = QueueKey(change.key);
  {
    absl::MutexLock lock(&mu_);
    if (change.op == store::Change::Op::kPut) {
      working_.insert(key);
    } else {
      working_.erase(key);
    }
  }
  runner_->Add(key);
  // Whether a volume is held has changed.
  WakeUsers(change.key.project);
}

void VolumeController::OnReplicaChange(const store::Change& change) {
  const std::string prefix = absl::StrCat(change.key.project, "/");
  absl::MutexLock lock(&mu_);
  for (const std::string& key : all_) {
    if (!absl::StartsWith(key, prefix)) continue;
    if (deleting_.contains(key) || working_.contains(key)) {
      runner_->Add(key);
    } else {
      runner_->queue().AddAfter(key, kReplicaDelay);
    }
  }
}

void VolumeController::WakeUsers(const std::string& project) {
  auto services = store::ListReadable(ports_.store, "service", project);
  auto jobs = store::ListReadable(ports_.store, "job", project);
  // They look again by themselves, too.
  if (!services.ok() || !jobs.ok()) return;
  for (const v1::Object& object : services->objects) {
    ports_.service_changed(QueueKey(object.service().metadata()));
  }
  for (const v1::Object& object : jobs->objects) {
    ports_.job_changed(QueueKey(object.job().metadata()));
  }
}

absl::StatusOr<Result> VolumeController::Reconcile(const std::string& key) {
  ASSIGN_OR_RETURN(const store::Key volume_key, ParseQueueKey("volume", key));
  ASSIGN_OR_RETURN(
      std::optional<StoredWork> work,
      FindWork(ports_.store, WorkKey(volume_key.project, volume_key.name)));
  if (work.has_value()) return ReconcileWork(*std::move(work));
  absl::StatusOr<v1::Object> object =
      store::GetObject(ports_.store, volume_key);
  if (absl::IsNotFound(object.status())) return Result{};
  if (!object.ok()) return object.status();
  if (object->volume().metadata().has_delete_time()) return Delete(*object);
  return ReconcileVolume(*std::move(object));
}

absl::StatusOr<Result> VolumeController::ReconcileVolume(v1::Object object) {
  const v1::Volume& volume = object.volume();
  v1::VolumeStatus status = volume.status();
  absl::Duration next = UsagePeriod(volume.spec().driver());
  const absl::Status made = Make(object, status, next);
  ASSIGN_OR_RETURN(const std::set<std::string> users,
                   UsersOf(store::KeyOf(object)));
  RecordUsers(users, status);
  RecordRestoring(nullptr, ports_.clock.Now(), status);
  const absl::Status saved = SaveStatus(object, status, false);
  // Somebody else wrote it: look again.
  if (absl::IsAborted(saved)) return Result{absl::ZeroDuration()};
  RETURN_IF_ERROR(saved);
  RETURN_IF_ERROR(made);
  return Result{next};
}

absl::Status VolumeController::Make(v1::Object& object,
                                    v1::VolumeStatus& status,
                                    absl::Duration& next) {
  const v1::Volume& volume = object.volume();
  auto set = [&](const v1::Condition& condition) {
    return SetCondition(*status.mutable_conditions(), condition,
                        ports_.clock.Now());
  };
  ASSIGN_OR_RETURN(const bool pattern, IsPattern(volume));
  if (pattern) {
    set(PatternCondition());
    return absl::OkStatus();
  }
  const absl::StatusOr<volumes::VolumeInfo> info =
      ports_.volumes.Ensure(DriverSpec(volume));
  const v1::Condition ready = ReadyCondition(info.status());
  if (set(ready) && !info.ok()) {
    Tell(volume, "VolumeFailed",
         absl::StrCat("volume ", volume.metadata().name(), ": ",
                      ready.message()),
         v1::Event::WARNING);
  }
  RETURN_IF_ERROR(info.status());
  status.set_path(info->path);
  RETURN_IF_ERROR(Sweep(volume));
  RETURN_IF_ERROR(Measure(volume, status, next));
  ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> snapshots,
                   ports_.volumes.ListSnapshots(volume.metadata().uid()));
  RecordSnapshots(snapshots, status);
  return absl::OkStatus();
}

// One that nobody mounts itself, and somebody for each of its slots.
absl::StatusOr<bool> VolumeController::IsPattern(const v1::Volume& volume) {
  if (!volume.status().path().empty()) return false;  // it has data
  ASSIGN_OR_RETURN(auto services,
                   store::ListReadable(ports_.store, "service",
                                       volume.metadata().project()));
  MountKinds all;
  for (const v1::Object& object : services.objects) {
    const MountKinds kinds =
        KindsOf(TemplateOf(object.service().spec()), volume.metadata().name());
    all.itself |= kinds.itself;
    all.as_pattern |= kinds.as_pattern;
  }
  return all.as_pattern && !all.itself;
}

absl::Status VolumeController::Measure(const v1::Volume& volume,
                                       v1::VolumeStatus& status,
                                       absl::Duration& next) {
  const absl::Duration period = UsagePeriod(volume.spec().driver());
  const absl::Time now = ports_.clock.Now();
  const absl::Duration age = now - ToTime(status.usage_time());
  if (age >= absl::ZeroDuration() && age < period) {
    next = period - age;
    return absl::OkStatus();
  }
  const absl::StatusOr<volumes::Usage> usage =
      ports_.volumes.GetUsage(volume.metadata().uid());
  RETURN_IF_ERROR(usage.status());
  RecordUsage(*usage, now, status);
  v1::Condition full = NearlyFullCondition(volume, *usage);
  const v1::Condition* before =
      FindCondition(volume.status().conditions(), "NearlyFull");
  if (IsWorse(before, full)) {
    Tell(
        volume, "VolumeNearlyFull",
        absl::StrCat("volume ", volume.metadata().name(), ": ", full.message()),
        v1::Event::WARNING);
  }
  SetCondition(*status.mutable_conditions(), std::move(full), now);
  return absl::OkStatus();
}

// Snapshots for a backup or clone that died with an earlier process.
absl::Status VolumeController::Sweep(const v1::Volume& volume) {
  const std::string& uid = volume.metadata().uid();
  {
    absl::MutexLock lock(&mu_);
    if (swept_.contains(uid)) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> snapshots,
                   ports_.volumes.ListSnapshots(uid));
  for (const volumes::SnapshotInfo& snapshot : snapshots) {
    if (!IsOwnSnapshot(snapshot.name)) continue;
    {
      absl::MutexLock lock(&mu_);
      if (own_.contains(snapshot.name)) continue;
    }
    RETURN_IF_ERROR(ports_.volumes.DeleteSnapshot(uid, snapshot.name));
  }
  absl::MutexLock lock(&mu_);
  swept_.insert(uid);
  return absl::OkStatus();
}

VolumeController::OwnName::OwnName(VolumeController& controller,
                                   const std::string& uid,
                                   absl::string_view purpose)
    : controller_(controller),
      name_(OwnSnapshot(purpose, NewUid(controller.ports_.entropy))) {
  absl::MutexLock lock(&controller_.mu_);
  controller_.own_.emplace(name_, uid);
}

VolumeController::OwnName::~OwnName() {
  absl::MutexLock lock(&controller_.mu_);
  controller_.own_.erase(name_);
}

absl::Status VolumeController::SaveStatus(const v1::Object& object,
                                          const v1::VolumeStatus& status,
                                          bool durable) {
  if (status.SerializeAsString() ==
      object.volume().status().SerializeAsString()) {
    return absl::OkStatus();
  }
  v1::Object after = object;
  *after.mutable_volume()->mutable_status() = status;
  store::Batch batch;
  batch.Put(store::KeyOf(after), store::Encode(after),
            store::RevisionOf(after));
  if (!durable) batch.NotDurable();
  return ports_.store.Commit(batch.Essential()).status();
}

absl::Status VolumeController::UpdateStatus(
    const store::Key& key, const std::string& uid,
    const std::function<void(v1::VolumeStatus&)>& change) {
  absl::Status saved;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const v1::Object object,
                     store::GetObject(ports_.store, key));
    if (object.volume().metadata().uid() != uid) {
      return absl::NotFoundError(
          absl::StrCat("find volume ", key.name, ": it is another one now"));
    }
    v1::VolumeStatus status = object.volume().status();
    change(status);
    saved = SaveStatus(object, status, true);
    if (!absl::IsAborted(saved)) return saved;
  }
  return saved;
}

absl::StatusOr<std::set<std::string>> VolumeController::UsersOf(
    const store::Key& volume) {
  ASSIGN_OR_RETURN(auto replicas, store::ListReadable(ports_.store, "replica",
                                                      volume.project));
  std::set<std::string> users;
  // Whoever cannot be asked may be one.
  for (const store::Unreadable& bad : replicas.unreadable) {
    users.insert(absl::StrCat("replica/", bad.record.key.name));
  }
  for (const v1::Object& object : replicas.objects) {
    const v1::Replica& replica = object.replica();
    if (HasEnded(replica)) continue;
    const std::string& owner = OwnerOf(replica);
    const auto revision =
        store::GetObject(ports_.store, RevisionKeyOf(replica));
    if (absl::IsNotFound(revision.status())) continue;
    if (!revision.ok() && !absl::IsDataLoss(revision.status())) {
      return revision.status();
    }
    if (revision.ok() && !VolumesOf(revision->revision().template_(), replica)
                              .contains(volume.name)) {
      continue;
    }
    users.insert(absl::StrCat(
        replica.spec().job().empty() ? "service/" : "job/", owner));
  }
  return users;
}

absl::StatusOr<bool> VolumeController::IsCopied(const v1::Volume& volume) {
  const std::string& uid = volume.metadata().uid();
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [name, of] : own_) {
      if (of == uid) return true;
    }
  }
  ASSIGN_OR_RETURN(const std::vector<StoredWork> clones,
                   ClonesOf(ports_.store, volume.metadata().project(), uid));
  return !clones.empty();
}

absl::StatusOr<Result> VolumeController::Delete(const v1::Object& object) {
  const v1::Volume& volume = object.volume();
  const store::Key key = store::KeyOf(object);
  ASSIGN_OR_RETURN(const std::set<std::string> users, UsersOf(key));
  // A copy would lack what is removed under it.
  ASSIGN_OR_RETURN(const bool copied, IsCopied(volume));
  if (!users.empty() || copied) return Result{kUsersPoll};
  RETURN_IF_ERROR(ports_.volumes.Delete(volume.metadata().uid()));
  // The record goes last: until then it says what may still be there.
  RETURN_IF_ERROR(
      ports_.store
          .Commit(store::Batch()
                      .Delete(key, store::RevisionOf(object))
                      .Delete({kVolumeRepositories, key.project, key.name}))
          .status());
  Tell(volume, "Deleted",
       absl::StrCat("volume ", volume.metadata().name(),
                    " and its snapshots are gone"));
  return Result{};
}

void VolumeController::Tell(const v1::Volume& volume, const char* reason,
                            const std::string& message,
                            v1::Event::Severity severity) {
  v1::ObjectReference subject;
  subject.set_kind("volume");
  subject.set_project(volume.metadata().project());
  subject.set_name(volume.metadata().name());
  subject.set_uid(volume.metadata().uid());
  ports_.events.Record(subject, reason, message, severity);
}

}  // namespace bulwark::scheduler
