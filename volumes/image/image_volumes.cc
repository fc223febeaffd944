#include "volumes/image/image_volumes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"
#include "os/mounts.h"
#include "volumes/disk.h"
#include "volumes/image/image_file.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

// No id: taken under a volume's.
constexpr char kTrashLock[] = ".trash";

}  // namespace

ImageVolumes::ImageVolumes(const std::string& state_dir,
                           const std::string& runtime_dir)
    : images_(absl::StrCat(state_dir, "/volume-images")),
      trash_(images_ + "/.trash"),
      mounts_(absl::StrCat(runtime_dir, "/volumes")),
      views_(mounts_ + "/.views") {}

std::string ImageVolumes::Folder(absl::string_view id) const {
  return absl::StrCat(images_, "/", id);
}
std::string ImageVolumes::ImagePath(absl::string_view id) const {
  return absl::StrCat(Folder(id), "/image");
}
std::string ImageVolumes::SnapshotPath(absl::string_view id,
                                       absl::string_view name) const {
  return absl::StrCat(Folder(id), "/snapshots/", name);
}
std::string ImageVolumes::StagePath(absl::string_view id,
                                    absl::string_view token) const {
  return absl::StrCat(Folder(id), "/stage.", token);
}
std::string ImageVolumes::MountPoint(absl::string_view id) const {
  return absl::StrCat(mounts_, "/", id);
}
std::string ImageVolumes::ViewPoint(absl::string_view id,
                                    absl::string_view what) const {
  return absl::StrCat(views_, "/", id, ".", what);
}
VolumeInfo ImageVolumes::InfoOf(absl::string_view id) const {
  return {std::string(id), absl::StrCat(MountPoint(id), "/", kContentName),
          Driver::kImage};
}

absl::Status ImageVolumes::Open() {
  RETURN_IF_ERROR(MakeDirectory(images_, 0700));
  RETURN_IF_ERROR(MakeDirectory(trash_, 0700));
  RETURN_IF_ERROR(MakeDirectory(mounts_, 0711));
  RETURN_IF_ERROR(MakeDirectory(views_, 0700));
  // Views live no longer than who opened them.
  RETURN_IF_ERROR(os::UnmountBelow(views_));
  ASSIGN_OR_RETURN(const std::vector<std::string> left, ListDirectory(views_));
  for (const std::string& name : left) {
    rmdir(absl::StrCat(views_, "/", name).c_str());
  }
  open_ = true;
  for (const VolumeInfo& info : List()) {
    for (const char* work : {"/new", "/snapshots/.new"}) {
      const std::string path = Folder(info.id) + work;
      if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        return ErrnoStatus("remove", path);
      }
    }
    ASSIGN_OR_RETURN(const std::string device,
                     DeviceMountedAt(MountPoint(info.id)));
    if (device.empty()) continue;
    // Without this whoever writes into it would wait for ever.
    if (absl::Status status = Thaw(MountPoint(info.id)); !status.ok()) {
      LOG_ERROR("cannot thaw a volume",
                {{"volume", info.id}, {"cause", status}});
    }
  }
  if (absl::Status status = EmptyTrash(trash_); !status.ok()) {
    LOG_WARN("volume trash is not empty", {{"error", status}});
  }
  return absl::OkStatus();
}

absl::Status ImageVolumes::Check(absl::string_view id) const {
  return CheckCall(open_, id);
}

absl::Status ImageVolumes::CheckExists(absl::string_view id) const {
  RETURN_IF_ERROR(Check(id));
  if (Exists(ImagePath(id))) return absl::OkStatus();
  return NoSuchVolume(id);
}

absl::Status ImageVolumes::MakeFolder(absl::string_view id) {
  RETURN_IF_ERROR(MakeDirectory(Folder(id), 0700));
  RETURN_IF_ERROR(MakeDirectory(Folder(id) + "/snapshots", 0700));
  return os::SyncDir(images_);
}

absl::Status ImageVolumes::MakeNew(const VolumeSpec& spec) {
  if (spec.size_bytes <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("make volume ", spec.id, ": an image needs a size"));
  }
  RETURN_IF_ERROR(MakeFolder(spec.id));
  const std::string work = Folder(spec.id) + "/new";
  unlink(work.c_str());
  absl::Status made =
      MakeImage(work, spec.size_bytes, ViewPoint(spec.id, "new"), views_);
  rmdir(ViewPoint(spec.id, "new").c_str());
  if (made.ok()) made = MoveDurably(work, ImagePath(spec.id));
  if (!made.ok()) {
    unlink(work.c_str());
    // Only what is empty.
    rmdir((Folder(spec.id) + "/snapshots").c_str());
    rmdir(Folder(spec.id).c_str());
  }
  return made;
}

absl::Status ImageVolumes::MountContent(absl::string_view id) {
  ASSIGN_OR_RETURN(const bool in_use, IsInUse(ImagePath(id), views_));
  if (!in_use) RETURN_IF_ERROR(CheckImage(ImagePath(id)));
  return MountImage(ImagePath(id), MountPoint(id), false, views_);
}

absl::StatusOr<bool> ImageVolumes::Grow(absl::string_view id) {
  const std::string path = ImagePath(id);
  ASSIGN_OR_RETURN(const bool filled, FillsFile(path));
  if (filled) return true;
  const absl::Status grown = GrowMounted(path, MountPoint(id));
  if (!absl::IsPermissionDenied(grown)) {
    RETURN_IF_ERROR(grown);
    return true;
  }
  // Without that right it can only be done while nobody uses it.
  ASSIGN_OR_RETURN(const std::string device, DeviceMountedAt(MountPoint(id)));
  ASSIGN_OR_RETURN(bool in_use, os::IsMountedElsewhere(device));
  if (in_use || !os::Unmount(MountPoint(id)).ok()) return false;
  ASSIGN_OR_RETURN(in_use, IsInUse(path, views_));
  absl::Status status = in_use ? absl::OkStatus() : GrowUnmounted(path);
  status.Update(MountContent(id));
  RETURN_IF_ERROR(status);
  return !in_use;
}

absl::StatusOr<VolumeInfo> ImageVolumes::Ensure(const VolumeSpec& spec) {
  const std::string& id = spec.id;
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold hold(locks_, id);
  if (!Exists(ImagePath(id))) {
    RETURN_IF_ERROR_CTX(MakeNew(spec), absl::StrCat("make volume ", id));
  }
  ASSIGN_OR_RETURN(const int64_t size, FileSize(ImagePath(id)));
  const bool grows = RoundImageSize(spec.size_bytes) > size;
  bool checked;
  {
    absl::MutexLock lock(&mu_);
    checked = checked_.contains(id);
  }
  ASSIGN_OR_RETURN(const std::string device, DeviceMountedAt(MountPoint(id)));
  if (checked && !grows && !device.empty()) return InfoOf(id);
  if (grows) {
    RETURN_IF_ERROR_CTX(AllocateImage(ImagePath(id), spec.size_bytes),
                        absl::StrCat("grow volume ", id));
  }
  RETURN_IF_ERROR(MountContent(id));
  // Also if nothing grows now: an earlier growth may have been cut short.
  ASSIGN_OR_RETURN(const bool grown, Grow(id));
  if (grows && !grown) {
    LOG_WARN(
        "a volume grows when its containers have ended: bulwarkd may not "
        "do that under them (CAP_SYS_RESOURCE)",
        {{"volume", id}});
  }
  absl::MutexLock lock(&mu_);
  if (grown) {
    checked_.insert(id);
  } else {
    checked_.erase(id);
  }
  return InfoOf(id);
}

absl::Status ImageVolumes::Delete(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold hold(locks_, id);
  {
    absl::MutexLock lock(&mu_);
    checked_.erase(std::string(id));
  }
  if (Exists(Folder(id))) RETURN_IF_ERROR(DropStageLocked(id));
  RETURN_IF_ERROR(os::UnmountBelow(MountPoint(id)));
  rmdir(MountPoint(id).c_str());
  RETURN_IF_ERROR(Bury(Folder(id), trash_));
  IdLocks::Hold trash(locks_, kTrashLock);
  return EmptyTrash(trash_);
}

std::vector<VolumeInfo> ImageVolumes::List() {
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(images_);
  std::vector<VolumeInfo> result;
  if (!names.ok()) {
    LOG_ERROR("cannot list volumes", {{"error", names.status()}});
    return result;
  }
  for (const std::string& name : *names) {
    if (CheckVolumeId(name).ok() && Exists(ImagePath(name))) {
      result.push_back(InfoOf(name));
    }
  }
  return result;
}

absl::StatusOr<Usage> ImageVolumes::GetUsage(absl::string_view id) {
  RETURN_IF_ERROR(CheckExists(id));
  IdLocks::Hold hold(locks_, id);
  ASSIGN_OR_RETURN(const std::string device, DeviceMountedAt(MountPoint(id)));
  if (device.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("measure volume ", id, ": it is not mounted"));
  }
  // The kernel may have given blocks back to the disk (it clears ranges so):
  // the promise is renewed.
  ASSIGN_OR_RETURN(const int64_t size, FileSize(ImagePath(id)));
  RETURN_IF_ERROR(AllocateImage(ImagePath(id), size));
  return FileSystemUsage(MountPoint(id));
}

}  // namespace bulwark::volumes
