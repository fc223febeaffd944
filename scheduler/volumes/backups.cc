// Backups of volumes.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/rollback.h"
#include "base/status.h"
#include "base/units.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"
#include "scheduler/volumes/actions.h"
#include "scheduler/volumes/records.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using Repositories = bulwark::volumes::v1::VolumeRepositories;

constexpr int kMaxKeep = 10000;
constexpr size_t kMaxPath = 1024;

std::string OwnerName(const v1::Volume& volume) {
  return absl::StrCat(volume.metadata().project(), "/",
                      volume.metadata().name());
}

v1::VolumeBackup ToMessage(const volumes::BackupInfo& info) {
  v1::VolumeBackup backup;
  backup.set_id(info.id);
  backup.set_size_bytes(info.size_bytes);
  SetTime(backup.mutable_create_time(), info.create_time);
  return backup;
}

absl::Status CheckPath(const std::string& path) {
  const bool good = path.size() > 1 && path.size() <= kMaxPath &&
                    path[0] == '/' &&
                    !absl::StrContains(absl::StrCat(path, "/"), "/../") &&
                    std::all_of(path.begin(), path.end(), [](char c) {
                      return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
                    });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("repository \"", path.substr(0, 80),
                   "\" is not an absolute path of the host"));
}

// The last good one: one that fails later takes nothing away from it.
v1::Condition BackedUp(const volumes::BackupInfo& backup,
                       const std::string& path) {
  v1::Condition condition;
  condition.set_type("BackedUp");
  condition.set_status(v1::Condition::TRUE);
  condition.set_reason("Complete");
  condition.set_message(
      absl::StrCat("backup ", backup.id, " in ", path, ", ",
                   FormatBytes(backup.size_bytes), ", of ",
                   absl::FormatTime(absl::RFC3339_sec, backup.create_time,
                                    absl::UTCTimeZone())));
  return condition;
}

// Whether the last attempt failed.
v1::Condition BackupFailed(const absl::Status& status) {
  v1::Condition condition;
  condition.set_type("BackupFailed");
  condition.set_status(status.ok() ? v1::Condition::FALSE
                                   : v1::Condition::TRUE);
  condition.set_reason(status.ok() ? "Complete" : "BackupFailed");
  condition.set_message(std::string(status.message()));
  return condition;
}

// With the time of this attempt, for who watches that backups are made.
void SetWithTime(v1::VolumeStatus& status, const v1::Condition& condition,
                 absl::Time now) {
  SetCondition(*status.mutable_conditions(), condition, now);
  for (v1::Condition& c : *status.mutable_conditions()) {
    if (c.type() == condition.type()) {
      SetTime(c.mutable_last_transition_time(), now);
    }
  }
}

}  // namespace

absl::StatusOr<volumes::Repository> VolumeActions::Open(
    const std::string& project, const v1::BackupRepository& given,
    const v1::Identity& caller) {
  RETURN_IF_ERROR(CheckPath(given.path()));
  if (given.password_secret().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "open repository ", given.path(),
        ": name the secret with its password; backups are always encrypted"));
  }
  volumes::Repository repository;
  repository.path = given.path();
  ASSIGN_OR_RETURN(repository.password,
                   ports_.password(project.empty() ? "default" : project,
                                   given.password_secret(), caller));
  return repository;
}

absl::Status VolumeActions::Prepare(const v1::Volume& volume,
                                    const volumes::Repository& repository) {
  const store::Key key = {kVolumeRepositories, volume.metadata().project(),
                          volume.metadata().name()};
  Repositories known;
  const absl::StatusOr<store::Record> record = ports_.store.Get(key);
  if (record.ok() && known.ParseFromString(record->value) &&
      known.volume_uid() == volume.metadata().uid()) {
    const auto& paths = known.paths();
    if (std::find(paths.begin(), paths.end(), repository.path) != paths.end()) {
      return ports_.backups.List(repository, OwnerName(volume)).status();
    }
  } else if (!record.ok() && !absl::IsNotFound(record.status())) {
    return record.status();
  }
  RETURN_IF_ERROR(ports_.backups.Prepare(repository));
  known.set_volume_uid(volume.metadata().uid());
  known.add_paths(repository.path);
  return ports_.store.Commit(store::Batch().Put(key, known.SerializeAsString()))
      .status();
}

absl::StatusOr<volumes::BackupInfo> VolumeActions::RunBackup(
    const v1::Volume& volume, const volumes::Repository& repository, int keep,
    const Progress& progress) {
  const std::string& uid = volume.metadata().uid();
  auto say = [&](const std::string& status,
                 const volumes::BackupProgress& done) {
    v1::VolumeProgress message;
    message.set_status(status);
    message.set_current_bytes(done.current_bytes);
    message.set_total_bytes(done.total_bytes);
    return !progress || progress(message);
  };
  const volumes::Wanted wanted = [&] {
    return !controller_.stopping() && (!progress || progress({}));
  };
  say("opening the repository", {});
  RETURN_IF_ERROR(Prepare(volume, repository));
  RETURN_IF_ERROR(ports_.volumes.Ensure(DriverSpec(volume)).status());
  say("taking a snapshot", {});
  const VolumeController::OwnName own(controller_, uid, "backup");
  Rollback remove;
  remove.Add([&] {
    // What cannot be removed now, the next start removes.
    ports_.volumes.DeleteSnapshot(uid, own.name()).IgnoreError();
  });
  RETURN_IF_ERROR(ports_.volumes.Snapshot(uid, own.name(), wanted).status());
  ASSIGN_OR_RETURN(const std::unique_ptr<volumes::ContentView> view,
                   ports_.volumes.OpenSnapshot(uid, own.name()));
  return ports_.backups.Backup(
      repository, view->parent(), OwnerName(volume), keep,
      [&](const volumes::BackupProgress& done) { say("copying", done); },
      wanted);
}

absl::Status VolumeActions::Backup(const v1::BackupVolumeRequest& request,
                                   const v1::Identity& caller,
                                   const Progress& progress) {
  ASSIGN_OR_RETURN(const v1::Object object,
                   Find(request.project(), request.volume()));
  const v1::Volume& volume = object.volume();
  const std::string& uid = volume.metadata().uid();
  if (request.keep() < 0 || request.keep() > kMaxKeep) {
    return absl::InvalidArgumentError(
        absl::StrCat("back up volume ", request.volume(), ": keep ",
                     request.keep(), " is not 0 to ", kMaxKeep));
  }
  if (volume.spec().driver() == v1::VolumeSpec::TMPFS) {
    return absl::FailedPreconditionError(absl::StrCat(
        "back up volume ", request.volume(),
        ": it is in memory, of which there are no snapshots and backups"));
  }
  ASSIGN_OR_RETURN(const volumes::Repository repository,
                   Open(request.project(), request.repository(), caller));
  {
    absl::MutexLock lock(&mu_);
    if (!busy_.insert(uid).second) {
      return absl::FailedPreconditionError(
          absl::StrCat("back up volume ", request.volume(),
                       ": it is being backed up already"));
    }
  }
  absl::StatusOr<volumes::BackupInfo> backup =
      RunBackup(volume, repository, request.keep(), progress);
  {
    absl::MutexLock lock(&mu_);
    busy_.erase(uid);
  }
  if (absl::IsCancelled(backup.status())) return backup.status();
  const v1::Condition failed = BackupFailed(backup.status());
  std::string outcome = failed.message();
  std::optional<v1::Condition> good;
  if (backup.ok()) {
    good = BackedUp(*backup, repository.path);
    outcome = good->message();
  }
  RETURN_IF_ERROR(controller_.UpdateStatus(
      store::KeyOf(object), uid, [&](v1::VolumeStatus& status) {
        const absl::Time now = ports_.clock.Now();
        if (good.has_value()) SetWithTime(status, *good, now);
        SetWithTime(status, failed, now);
      }));
  controller_.Tell(volume, backup.ok() ? "BackedUp" : "BackupFailed",
                   absl::StrCat("volume ", request.volume(), ": ", outcome),
                   backup.ok() ? v1::Event::NORMAL : v1::Event::WARNING);
  RETURN_IF_ERROR(Annotate(backup.status(),
                           absl::StrCat("back up volume ", request.volume())));
  v1::VolumeProgress last;
  last.set_status("complete");
  last.set_current_bytes(backup->size_bytes);
  last.set_total_bytes(backup->size_bytes);
  *last.mutable_backup() = ToMessage(*backup);
  if (progress) progress(last);
  return absl::OkStatus();
}

absl::StatusOr<v1::ListBackupsResponse> VolumeActions::ListBackups(
    const v1::ListBackupsRequest& request, const v1::Identity& caller) {
  // Also of a volume that is gone: its backups outlive it.
  v1::Volume volume;
  volume.mutable_metadata()->set_project(
      request.project().empty() ? "default" : request.project());
  volume.mutable_metadata()->set_name(request.volume());
  ASSIGN_OR_RETURN(const volumes::Repository repository,
                   Open(request.project(), request.repository(), caller));
  ASSIGN_OR_RETURN(const std::vector<volumes::BackupInfo> backups,
                   ports_.backups.List(repository, OwnerName(volume)));
  v1::ListBackupsResponse response;
  for (const volumes::BackupInfo& info : backups) {
    *response.add_backups() = ToMessage(info);
  }
  return response;
}

}  // namespace bulwark::scheduler
