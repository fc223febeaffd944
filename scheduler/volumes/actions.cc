#include "scheduler/volumes/actions.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"
#include "scheduler/volumes/plan.h"
#include "scheduler/volumes/records.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr size_t kMaxName = 40;

bool IsName(absl::string_view name) {
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= kMaxName && plain(name.front()) &&
         plain(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '-'; });
}

absl::Status CheckName(absl::string_view what, const std::string& name) {
  if (IsName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " \"", name.substr(0, 2 * kMaxName), "\" is not a name: use 1 to ",
      kMaxName,
      " characters of [a-z0-9-], beginning and ending with a letter "
      "or digit"));
}

// "20260131-235959", in UTC.
std::string TimeName(absl::Time now) {
  return absl::FormatTime("%Y%m%d-%H%M%S", now, absl::UTCTimeZone());
}

std::string OwnerName(const v1::Volume& volume) {
  return absl::StrCat(volume.metadata().project(), "/",
                      volume.metadata().name());
}

// The words of errors of the drivers name ids; people know names.
absl::Status Named(const absl::Status& status, const std::string& verb,
                   const v1::Volume& volume) {
  return Annotate(status,
                  absl::StrCat(verb, " volume ", volume.metadata().name()));
}

}  // namespace

absl::StatusOr<v1::Object> VolumeActions::Find(const std::string& project,
                                               const std::string& name) {
  ASSIGN_OR_RETURN(v1::Object object,
                   store::GetObject(ports_.store,
                                    store::ObjectKey("volume", project, name)));
  if (object.volume().metadata().has_delete_time()) {
    return absl::FailedPreconditionError(
        absl::StrCat("use volume ", name, ": it is being deleted"));
  }
  return object;
}

absl::StatusOr<v1::SnapshotVolumeResponse> VolumeActions::Snapshot(
    const v1::SnapshotVolumeRequest& request, const v1::Identity& caller) {
  const std::string name = request.snapshot().empty()
                               ? TimeName(ports_.clock.Now())
                               : request.snapshot();
  RETURN_IF_ERROR(CheckName("snapshot", name));
  // Drivers take a snapshot that exists for made: of two at once, the second
  // would be told that it made the first one's. No uid has a slash.
  const std::string making = absl::StrCat(
      store::ObjectKey("volume", request.project(), request.volume())
          .ToString(),
      "/", name);
  {
    absl::MutexLock lock(&mu_);
    if (!busy_.insert(making).second) {
      return absl::AlreadyExistsError(
          absl::StrCat("snapshot volume ", request.volume(), ": snapshot ",
                       name, " is being made already"));
    }
  }
  const absl::Cleanup done = [&] {
    absl::MutexLock lock(&mu_);
    busy_.erase(making);
  };
  ASSIGN_OR_RETURN(const v1::Object object,
                   Find(request.project(), request.volume()));
  const v1::Volume& volume = object.volume();
  const std::string& uid = volume.metadata().uid();
  for (const v1::VolumeSnapshot& other : volume.status().snapshots()) {
    if (other.name() != name) continue;
    return absl::AlreadyExistsError(
        absl::StrCat("snapshot volume ", request.volume(),
                     ": it has a snapshot ", name, " already"));
  }
  RETURN_IF_ERROR(Named(ports_.volumes.Ensure(DriverSpec(volume)).status(),
                        "snapshot", volume));
  const absl::StatusOr<volumes::SnapshotInfo> made = ports_.volumes.Snapshot(
      uid, name, [this] { return !controller_.stopping(); });
  if (!made.ok()) return Named(made.status(), "snapshot", volume);
  ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> all,
                   ports_.volumes.ListSnapshots(uid));
  v1::SnapshotVolumeResponse response;
  RETURN_IF_ERROR(controller_.UpdateStatus(
      store::KeyOf(object), uid, [&](v1::VolumeStatus& status) {
        RecordSnapshots(all, status);
        for (v1::VolumeSnapshot& snapshot : *status.mutable_snapshots()) {
          if (snapshot.name() != name) continue;
          *snapshot.mutable_actor() = caller;
          *response.mutable_snapshot() = snapshot;
        }
      }));
  controller_.Tell(
      volume, "SnapshotMade",
      absl::StrCat("snapshot ", name, " of volume ", request.volume(),
                   " was made by ", caller.name()));
  return response;
}

absl::StatusOr<v1::DeleteSnapshotResponse> VolumeActions::DeleteSnapshot(
    const v1::DeleteSnapshotRequest& request, const v1::Identity& caller) {
  ASSIGN_OR_RETURN(const v1::Object object,
                   Find(request.project(), request.volume()));
  RETURN_IF_ERROR(CheckName("snapshot", request.snapshot()));
  const std::string& uid = object.volume().metadata().uid();
  ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> before,
                   ports_.volumes.ListSnapshots(uid));
  if (std::none_of(before.begin(), before.end(),
                   [&](const volumes::SnapshotInfo& info) {
                     return info.name == request.snapshot();
                   })) {
    return absl::NotFoundError(absl::StrCat("delete snapshot ",
                                            request.snapshot(), " of volume ",
                                            request.volume(), ": not found"));
  }
  const absl::StatusOr<std::optional<StoredWork>> work =
      FindWork(ports_.store, WorkKey(request.project(), request.volume()));
  RETURN_IF_ERROR(work.status());
  if (work->has_value() && (*work)->work.snapshot() == request.snapshot()) {
    return absl::FailedPreconditionError(
        absl::StrCat("delete snapshot ", request.snapshot(), " of volume ",
                     request.volume(), ": the volume is restored from it now"));
  }
  ASSIGN_OR_RETURN(const std::vector<StoredWork> clones,
                   ClonesOf(ports_.store, request.project(), uid));
  for (const StoredWork& clone : clones) {
    if (clone.work.snapshot() != request.snapshot()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "delete snapshot ", request.snapshot(), " of volume ", request.volume(),
        ": volume ", clone.key.name, " is made from it now"));
  }
  RETURN_IF_ERROR(ports_.volumes.DeleteSnapshot(uid, request.snapshot()));
  ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> all,
                   ports_.volumes.ListSnapshots(uid));
  RETURN_IF_ERROR(controller_.UpdateStatus(
      store::KeyOf(object), uid,
      [&](v1::VolumeStatus& status) { RecordSnapshots(all, status); }));
  controller_.Tell(
      object.volume(), "SnapshotDeleted",
      absl::StrCat("snapshot ", request.snapshot(), " of volume ",
                   request.volume(), " was deleted by ", caller.name()));
  return v1::DeleteSnapshotResponse();
}

absl::StatusOr<v1::CloneVolumeResponse> VolumeActions::Clone(
    const v1::CloneVolumeRequest& request, const v1::Identity& caller) {
  ASSIGN_OR_RETURN(const v1::Object source,
                   Find(request.project(), request.source()));
  RETURN_IF_ERROR(CheckName("volume", request.target()));
  if (!request.snapshot().empty()) {
    RETURN_IF_ERROR(CheckName("snapshot", request.snapshot()));
  }
  const store::Key key =
      store::ObjectKey("volume", request.project(), request.target());
  const absl::Status existing = ports_.store.Get(key).status();
  if (existing.ok()) {
    return absl::AlreadyExistsError(absl::StrCat(
        "clone volume ", request.source(), ": volume ", request.target(),
        " exists; choose another name, or restore into it"));
  }
  if (!absl::IsNotFound(existing)) return existing;
  RETURN_IF_ERROR(
      Named(ports_.volumes.Ensure(DriverSpec(source.volume())).status(),
            "clone", source.volume()));
  StoredWork work;
  work.key = WorkKey(request.project(), request.target());
  work.work.set_token(NewUid(ports_.entropy));
  work.work.set_volume_uid(source.volume().metadata().uid());
  work.work.set_snapshot(request.snapshot());
  *work.work.mutable_actor() = caller;
  v1::Volume& target = *work.work.mutable_target();
  target.mutable_metadata()->set_name(request.target());
  target.mutable_metadata()->set_project(key.project);
  target.mutable_metadata()->set_uid(NewUid(ports_.entropy));
  target.mutable_metadata()->set_generation(1);
  *target.mutable_metadata()->mutable_actor() = caller;
  SetTime(target.mutable_metadata()->mutable_create_time(), ports_.clock.Now());
  *target.mutable_spec() = source.volume().spec();
  // It is a copy; who wants it kept says so.
  target.mutable_spec()->set_protect(false);
  RETURN_IF_ERROR(controller_.Begin(work));
  RETURN_IF_ERROR(Named(controller_.Await(work.work.token(), nullptr), "clone",
                        source.volume()));
  ASSIGN_OR_RETURN(v1::Object made, store::GetObject(ports_.store, key));
  controller_.Tell(
      made.volume(), "Cloned",
      absl::StrCat("volume ", request.target(), " was made from volume ",
                   request.source(), " by ", caller.name()));
  v1::CloneVolumeResponse response;
  *response.mutable_volume() = std::move(*made.mutable_volume());
  return response;
}

absl::Status VolumeActions::Restore(const v1::RestoreVolumeRequest& request,
                                    const v1::Identity& caller,
                                    const Progress& progress) {
  ASSIGN_OR_RETURN(const v1::Object object,
                   Find(request.project(), request.volume()));
  const std::string& uid = object.volume().metadata().uid();
  StoredWork work;
  work.key = WorkKey(request.project(), request.volume());
  work.work.set_token(NewUid(ports_.entropy));
  work.work.set_volume_uid(uid);
  *work.work.mutable_actor() = caller;
  if (object.volume().spec().driver() == v1::VolumeSpec::TMPFS) {
    return absl::FailedPreconditionError(absl::StrCat(
        "restore volume ", request.volume(),
        ": it is in memory, of which there are no snapshots and backups"));
  }
  if (request.has_backup()) {
    ASSIGN_OR_RETURN(
        const volumes::Repository repository,
        Open(request.project(), request.backup().repository(), caller));
    // What is wrong with it is said before anything is done.
    RETURN_IF_ERROR(
        ports_.backups.List(repository, OwnerName(object.volume())).status());
    auto& backup = *work.work.mutable_backup();
    backup.set_repository(repository.path);
    backup.set_password_secret(request.backup().repository().password_secret());
    backup.set_id(request.backup().id());
  } else {
    RETURN_IF_ERROR(CheckName("snapshot", request.snapshot()));
    ASSIGN_OR_RETURN(const std::vector<volumes::SnapshotInfo> all,
                     ports_.volumes.ListSnapshots(uid));
    if (std::none_of(all.begin(), all.end(),
                     [&](const volumes::SnapshotInfo& info) {
                       return info.name == request.snapshot();
                     })) {
      return absl::NotFoundError(
          absl::StrCat("restore volume ", request.volume(),
                       ": it has no snapshot ", request.snapshot()));
    }
    work.work.set_snapshot(request.snapshot());
  }
  RETURN_IF_ERROR(controller_.Begin(work));
  controller_.Tell(object.volume(), "RestoreStarted",
                   absl::StrCat("volume ", request.volume(),
                                " is being restored for ", caller.name()));
  return controller_.Await(work.work.token(), progress);
}

}  // namespace bulwark::scheduler
