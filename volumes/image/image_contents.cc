// Snapshots, clones and stages of image volumes.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/status.h"
#include "os/files.h"
#include "os/mounts.h"
#include "volumes/disk.h"
#include "volumes/image/image_file.h"
#include "volumes/image/image_volumes.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

// An image that is mounted while this object lives.
class MountedImage final : public ContentView {
 public:
  explicit MountedImage(std::string point) : point_(std::move(point)) {}
  ~MountedImage() override {
    // A dying reader may still have it open: then it goes with that.
    if (absl::Status status = os::UnmountBelow(point_); !status.ok()) {
      LOG_WARN("a view of a volume stays mounted", {{"cause", status}});
      return;
    }
    rmdir(point_.c_str());
  }
  const std::string& parent() const override { return point_; }

 private:
  const std::string point_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ContentView>> ImageVolumes::View(
    const std::string& image, const std::string& point, bool read_only) {
  RETURN_IF_ERROR(MountImage(image, point, read_only, views_));
  return std::make_unique<MountedImage>(point);
}

// Thaws on every way out.
absl::Status ImageVolumes::CopyFrozen(absl::string_view id,
                                      const std::string& to,
                                      const Wanted& wanted) {
  RETURN_IF_ERROR(MountContent(id));
  RETURN_IF_ERROR(Freeze(MountPoint(id)));
  Rollback thaw;
  thaw.Add([&] {
    if (absl::Status status = Thaw(MountPoint(id)); !status.ok()) {
      LOG_ERROR("cannot thaw a volume", {{"volume", id}, {"cause", status}});
    }
  });
  return CopyImage(ImagePath(id), to, wanted);
}

absl::StatusOr<SnapshotInfo> ImageVolumes::DescribeSnapshot(
    absl::string_view id, const std::string& name) const {
  const std::string path = SnapshotPath(id, name);
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ErrnoStatus("find", path);
  return SnapshotInfo{name, absl::TimeFromTimespec(info.st_mtim),
                      int64_t{info.st_blocks} * 512};
}

absl::StatusOr<SnapshotInfo> ImageVolumes::Snapshot(absl::string_view id,
                                                    absl::string_view name,
                                                    const Wanted& wanted) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  IdLocks::Hold hold(locks_, id);
  if (!Exists(SnapshotPath(id, name))) {
    const std::string work = SnapshotPath(id, ".new");
    RETURN_IF_ERROR(CopyFrozen(id, work, wanted));
    RETURN_IF_ERROR(MoveDurably(work, SnapshotPath(id, name)));
  }
  return DescribeSnapshot(id, std::string(name));
}

absl::Status ImageVolumes::DeleteSnapshot(absl::string_view id,
                                          absl::string_view name) {
  RETURN_IF_ERROR(Check(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  IdLocks::Hold hold(locks_, id);
  const std::string path = SnapshotPath(id, name);
  if (unlink(path.c_str()) == 0) {
    return os::SyncDir(Folder(id) + "/snapshots");
  }
  return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("remove", path);
}

absl::StatusOr<std::vector<SnapshotInfo>> ImageVolumes::ListSnapshots(
    absl::string_view id) {
  RETURN_IF_ERROR(CheckExists(id));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListDirectory(Folder(id) + "/snapshots"));
  std::vector<SnapshotInfo> snapshots;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(SnapshotInfo info, DescribeSnapshot(id, name));
    snapshots.push_back(std::move(info));
  }
  std::stable_sort(snapshots.begin(), snapshots.end(),
                   [](const SnapshotInfo& a, const SnapshotInfo& b) {
                     return a.create_time < b.create_time;
                   });
  return snapshots;
}

absl::StatusOr<std::unique_ptr<ContentView>> ImageVolumes::OpenSnapshot(
    absl::string_view id, absl::string_view name) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  const std::string path = SnapshotPath(id, name);
  if (!Exists(path)) {
    return absl::NotFoundError(
        absl::StrCat("find snapshot ", name, ": it does not exist"));
  }
  return View(path, ViewPoint(id, absl::StrCat("view", ++views_made_)), true);
}

absl::StatusOr<VolumeInfo> ImageVolumes::Clone(absl::string_view source,
                                               absl::string_view snapshot,
                                               const VolumeSpec& target,
                                               const Wanted& wanted) {
  RETURN_IF_ERROR(CheckExists(source));
  RETURN_IF_ERROR(CheckVolumeId(snapshot));
  RETURN_IF_ERROR(Check(target.id));
  const std::string from = SnapshotPath(source, snapshot);
  if (!Exists(from)) {
    return absl::NotFoundError(
        absl::StrCat("find snapshot ", snapshot, ": it does not exist"));
  }
  {
    IdLocks::Hold hold(locks_, target.id);
    if (!Exists(ImagePath(target.id))) {
      RETURN_IF_ERROR(MakeFolder(target.id));
      const std::string work = Folder(target.id) + "/new";
      absl::Status made = CopyImage(from, work, wanted);
      if (made.ok()) made = AllocateImage(work, target.size_bytes);
      if (made.ok()) made = MoveDurably(work, ImagePath(target.id));
      if (!made.ok()) {
        unlink(work.c_str());
        rmdir((Folder(target.id) + "/snapshots").c_str());
        rmdir(Folder(target.id).c_str());
        return made;
      }
    }
  }
  return Ensure(target);
}

absl::StatusOr<std::unique_ptr<ContentView>> ImageVolumes::Stage(
    absl::string_view id, absl::string_view token, absl::string_view snapshot,
    const Wanted& wanted) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(token));
  IdLocks::Hold hold(locks_, id);
  RETURN_IF_ERROR(DropStageLocked(id));
  const std::string staged = StagePath(id, token);
  ASSIGN_OR_RETURN(const int64_t size, FileSize(ImagePath(id)));
  absl::Status made;
  if (snapshot.empty()) {
    made = MakeImage(staged, size, ViewPoint(id, "new"), views_);
    rmdir(ViewPoint(id, "new").c_str());
  } else {
    RETURN_IF_ERROR(CheckVolumeId(snapshot));
    const std::string from = SnapshotPath(id, snapshot);
    if (!Exists(from)) {
      return absl::NotFoundError(
          absl::StrCat("find snapshot ", snapshot, ": it does not exist"));
    }
    made = CopyImage(from, staged, wanted);
    if (made.ok()) made = AllocateImage(staged, size);
  }
  if (made.ok()) made = os::SyncDir(Folder(id));
  if (!made.ok()) {
    unlink(staged.c_str());
    return made;
  }
  if (!snapshot.empty()) return std::unique_ptr<ContentView>();
  return View(staged, ViewPoint(id, "stage"), false);
}

absl::Status ImageVolumes::Swap(absl::string_view id, absl::string_view token) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(token));
  IdLocks::Hold hold(locks_, id);
  const std::string staged = StagePath(id, token);
  // A process that was killed may have left it mounted.
  RETURN_IF_ERROR(os::Unmount(ViewPoint(id, "stage")));
  {
    absl::MutexLock lock(&mu_);
    checked_.erase(std::string(id));
  }
  RETURN_IF_ERROR(os::Unmount(MountPoint(id)));
  absl::Status swapped = SwapOnce(staged, ImagePath(id), staged + ".swap");
  swapped.Update(MountContent(id));
  // The staged content may come from a smaller volume.
  if (swapped.ok()) swapped = Grow(id).status();
  return swapped;
}

absl::Status ImageVolumes::DropStageLocked(absl::string_view id) {
  RETURN_IF_ERROR(os::UnmountBelow(ViewPoint(id, "stage")));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListDirectory(Folder(id)));
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, "stage.")) continue;
    const std::string path = absl::StrCat(Folder(id), "/", name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus("remove", path);
    }
  }
  return names.empty() ? absl::OkStatus() : os::SyncDir(Folder(id));
}

absl::Status ImageVolumes::DropStage(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold hold(locks_, id);
  return DropStageLocked(id);
}

}  // namespace bulwark::volumes
