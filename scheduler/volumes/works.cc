// What is done to volumes in several steps: restores and clones.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "scheduler/volumes/controller.h"
#include "scheduler/volumes/plan.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using Work = bulwark::volumes::v1::VolumeWork;

// How long services and jobs may take to end before a restore is given up:
// longer than any sensible stop timeout.
constexpr absl::Duration kMostPatience = absl::Minutes(15);
// The mounts of containers that just ended may linger so long.
constexpr absl::Duration kBusyPatience = absl::Seconds(30);
constexpr absl::Duration kUsersPoll = absl::Seconds(1);
constexpr absl::Duration kBusyPoll = absl::Milliseconds(200);
constexpr absl::Duration kWaitPoll = absl::Milliseconds(250);

v1::Volume NamedVolume(const StoredWork& work) {
  v1::Volume volume;
  volume.mutable_metadata()->set_project(work.key.project);
  volume.mutable_metadata()->set_name(work.key.name);
  volume.mutable_metadata()->set_uid(work.work.volume_uid());
  return volume;
}

}  // namespace

absl::Status VolumeController::Begin(StoredWork work) {
  SetTime(work.work.mutable_phase_time(), ports_.clock.Now());
  work.work.set_phase(Work::PREPARING);
  {
    absl::MutexLock lock(&mu_);
    waiters_[work.work.token()];
  }
  const absl::Status saved = SaveWork(ports_.store, work);
  if (saved.ok()) {
    runner_->Add(QueueKey(work.key));
    return saved;
  }
  absl::MutexLock lock(&mu_);
  waiters_.erase(work.work.token());
  if (!absl::IsAborted(saved)) return saved;
  return absl::FailedPreconditionError(
      absl::StrCat("change volume ", work.key.name,
                   ": it is being restored or cloned already; wait for that"));
}

absl::Status VolumeController::Await(const std::string& token,
                                     const Progress& progress) {
  std::string told;
  while (true) {
    std::string status;
    std::optional<absl::Status> result;
    {
      absl::MutexLock lock(&mu_);
      auto changed = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        const Waiter& waiter = waiters_[token];
        return stop_ || waiter.result.has_value() || waiter.status != told;
      };
      ports_.clock.AwaitUntil(mu_, absl::Condition(&changed),
                              ports_.clock.Steady() + kWaitPoll);
      status = waiters_[token].status;
      result = waiters_[token].result;
      if (result.has_value()) waiters_.erase(token);
      if (!result.has_value() && stop_) {
        waiters_.erase(token);
        return absl::UnavailableError(
            "the daemon is stopping; it finishes this after its next start");
      }
    }
    if (result.has_value()) return *result;
    // An empty message asks whether anybody is there.
    v1::VolumeProgress message;
    if (status != told) message.set_status(status);
    told = status;
    if (!progress || progress(message)) continue;
    absl::MutexLock lock(&mu_);
    waiters_.erase(token);
    return absl::CancelledError("nobody waits any more");
  }
}

void VolumeController::Say(const std::string& token,
                           const std::string& status) {
  absl::MutexLock lock(&mu_);
  auto it = waiters_.find(token);
  if (it != waiters_.end()) it->second.status = status;
}

absl::Status VolumeController::Finish(const StoredWork& work,
                                      const absl::Status& result) {
  RETURN_IF_ERROR(
      ports_.store
          .Commit(store::Batch().Delete(work.key, work.revision).Essential())
          .status());
  absl::MutexLock lock(&mu_);
  auto it = waiters_.find(work.work.token());
  if (it != waiters_.end()) it->second.result = result;
  return absl::OkStatus();
}

absl::Status VolumeController::Advance(StoredWork& work, Work::Phase phase) {
  work.work.set_phase(phase);
  SetTime(work.work.mutable_phase_time(), ports_.clock.Now());
  return SaveWork(ports_.store, work);
}

absl::StatusOr<Result> VolumeController::ReconcileWork(StoredWork work) {
  if (work.work.has_target()) return DoClone(work);
  switch (work.work.phase()) {
    case Work::SWAPPING:
      return SwapContents(work);
    case Work::CLEANING:
      return Clean(work);
    default:
      return Prepare(work);
  }
}

// For whoever looks: it goes on without, too.
void VolumeController::ShowRestoring(const StoredWork& work) {
  const absl::Status shown =
      UpdateStatus(store::ObjectKey("volume", work.key.project, work.key.name),
                   work.work.volume_uid(), [&](v1::VolumeStatus& status) {
                     RecordRestoring(&work.work, ports_.clock.Now(), status);
                   });
  if (!shown.ok()) {
    LOG_DEBUG("a restore is not shown",
              {{"volume", work.key.name}, {"cause", shown}});
  }
}

absl::StatusOr<Result> VolumeController::Fail(StoredWork& work,
                                              const absl::Status& why) {
  // Stopped, not failed: the next start goes on with it.
  if (stopping()) return Result{};
  const absl::Status dropped = ports_.volumes.DropStage(work.work.volume_uid());
  if (!dropped.ok()) {
    LOG_WARN("what a restore left is not removed",
             {{"volume", work.key.name}, {"cause", dropped}});
  }
  RETURN_IF_ERROR(Finish(work, why));
  Tell(NamedVolume(work), "RestoreFailed",
       absl::StrCat("volume ", work.key.name,
                    " stays as it was: ", why.message()),
       v1::Event::WARNING);
  return Result{};
}

absl::Status VolumeController::FillStage(const StoredWork& stored) {
  const Work& work = stored.work;
  const volumes::Wanted wanted = [this] { return !stopping(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<volumes::ContentView> stage,
                   ports_.volumes.Stage(work.volume_uid(), work.token(),
                                        work.snapshot(), wanted));
  if (!work.snapshot().empty()) return absl::OkStatus();
  volumes::Repository repository;
  repository.path = work.backup().repository();
  ASSIGN_OR_RETURN(
      repository.password,
      ports_.password(stored.key.project, work.backup().password_secret(),
                      work.actor()));
  return ports_.backups.Restore(
      repository, absl::StrCat(stored.key.project, "/", stored.key.name),
      work.backup().id(), stage->parent(), wanted);
}

absl::StatusOr<Result> VolumeController::Prepare(StoredWork& work) {
  Say(work.work.token(), absl::StrCat("preparing ", SourceOf(work.work)));
  // It may not have been made, or not be mounted, since the last boot.
  absl::StatusOr<v1::Object> object = store::GetObject(
      ports_.store,
      store::ObjectKey("volume", work.key.project, work.key.name));
  if (!object.ok()) return Fail(work, object.status());
  absl::Status status =
      ports_.volumes.Ensure(DriverSpec(object->volume())).status();
  ShowRestoring(work);
  // A damaged content is what a restore is for.
  if (absl::IsDataLoss(status)) status = absl::OkStatus();
  if (status.ok()) status = FillStage(work);
  if (!status.ok()) return Fail(work, status);
  RETURN_IF_ERROR(Advance(work, Work::SWAPPING));
  ShowRestoring(work);
  return Result{absl::ZeroDuration()};
}

absl::StatusOr<Result> VolumeController::SwapContents(StoredWork& work) {
  const absl::Duration age =
      ports_.clock.Now() - ToTime(work.work.phase_time());
  ASSIGN_OR_RETURN(
      const std::set<std::string> users,
      UsersOf(store::ObjectKey("volume", work.key.project, work.key.name)));
  if (!users.empty()) {
    const std::string names = absl::StrJoin(users, ", ");
    if (age > kMostPatience) {
      return Fail(work, absl::DeadlineExceededError(
                            absl::StrCat("restore volume ", work.key.name, ": ",
                                         names, " did not end")));
    }
    Say(work.work.token(), absl::StrCat("waiting for the end of ", names));
    WakeUsers(work.key.project);
    return Result{kUsersPoll};
  }
  Say(work.work.token(), "swapping");
  const absl::Status swapped =
      ports_.volumes.Swap(work.work.volume_uid(), work.work.token());
  if (absl::IsFailedPrecondition(swapped) && age < kBusyPatience) {
    return Result{kBusyPoll};
  }
  if (!swapped.ok()) return Fail(work, swapped);
  RETURN_IF_ERROR(Advance(work, Work::CLEANING));
  Tell(NamedVolume(work), "Restored",
       absl::StrCat("volume ", work.key.name, " is what it was in ",
                    SourceOf(work.work)));
  return Result{absl::ZeroDuration()};
}

absl::StatusOr<Result> VolumeController::Clean(StoredWork& work) {
  RETURN_IF_ERROR(ports_.volumes.DropStage(work.work.volume_uid()));
  RETURN_IF_ERROR(Finish(work, absl::OkStatus()));
  return Result{};
}

absl::StatusOr<Result> VolumeController::DoClone(StoredWork& work) {
  const volumes::Wanted wanted = [this] { return !stopping(); };
  const v1::Volume& target = work.work.target();
  const std::string& source = work.work.volume_uid();
  Say(work.work.token(), "copying");
  absl::Status made;
  if (work.work.snapshot().empty()) {
    const OwnName own(*this, source, "clone");
    made = ports_.volumes.Snapshot(source, own.name(), wanted).status();
    if (made.ok()) {
      made =
          ports_.volumes.Clone(source, own.name(), DriverSpec(target), wanted)
              .status();
    }
    const absl::Status removed =
        ports_.volumes.DeleteSnapshot(source, own.name());
    made.Update(removed);
  } else {
    made = ports_.volumes
               .Clone(source, work.work.snapshot(), DriverSpec(target), wanted)
               .status();
  }
  if (made.ok()) {
    v1::Object object;
    *object.mutable_volume() = target;
    made = ports_.store
               .Commit(store::Batch()
                           .Put(store::KeyOf(object), store::Encode(object), 0)
                           .Require(work.key, work.revision))
               .status();
    if (absl::IsAborted(made)) {
      const auto now = store::GetObject(ports_.store, store::KeyOf(object));
      if (now.ok() &&
          now->volume().metadata().uid() == target.metadata().uid()) {
        made = absl::OkStatus();  // done before a crash
      } else {
        made = absl::AlreadyExistsError(
            absl::StrCat("clone volume: ", work.key.name, " exists"));
      }
    }
  }
  if (!made.ok() && stopping()) return Result{};
  if (!made.ok()) {
    RETURN_IF_ERROR(ports_.volumes.Delete(target.metadata().uid()));
  }
  RETURN_IF_ERROR(Finish(work, made));
  return Result{absl::ZeroDuration()};
}

}  // namespace bulwark::scheduler
