#include "volumes/tmpfs/tmpfs_volumes.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "os/mounts.h"
#include "volumes/disk.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

constexpr int64_t kDefaultSize = int64_t{64} << 20;
constexpr int64_t kPage = 4096;
// What is mounted, for who reads the mounts of the host.
constexpr char kSource[] = "bulwark-volume";

int64_t SizeOf(const VolumeSpec& spec) {
  const int64_t size = spec.size_bytes > 0 ? spec.size_bytes : kDefaultSize;
  return (size + kPage - 1) / kPage * kPage;
}

}  // namespace

TmpfsVolumes::TmpfsVolumes(const std::string& runtime_dir)
    : mounts_(absl::StrCat(runtime_dir, "/volumes")) {}

std::string TmpfsVolumes::Path(absl::string_view id) const {
  return absl::StrCat(mounts_, "/", id);
}

absl::Status TmpfsVolumes::Open() {
  RETURN_IF_ERROR(MakeDirectory(mounts_, 0711));
  open_ = true;
  return absl::OkStatus();
}

absl::Status TmpfsVolumes::Check(absl::string_view id) const {
  return CheckCall(open_, id);
}

absl::StatusOr<bool> TmpfsVolumes::IsMounted(absl::string_view id) const {
  ASSIGN_OR_RETURN(const std::vector<os::MountPoint> mounts, os::ListMounts());
  const std::string path = Path(id);
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const os::MountPoint& mount) {
                       return mount.path == path && mount.type == "tmpfs";
                     });
}

absl::StatusOr<VolumeInfo> TmpfsVolumes::Ensure(const VolumeSpec& spec) {
  RETURN_IF_ERROR(Check(spec.id));
  IdLocks::Hold hold(locks_, spec.id);
  const std::string path = Path(spec.id);
  const VolumeInfo info = {spec.id, path, Driver::kTmpfs};
  const int64_t size = SizeOf(spec);
  ASSIGN_OR_RETURN(const bool mounted, IsMounted(spec.id));
  if (!mounted) {
    RETURN_IF_ERROR(MakeDirectory(path, 0700));
    RETURN_IF_ERROR(os::Mount(kSource, path, "tmpfs", MS_NOSUID | MS_NODEV,
                              absl::StrCat("mode=0755,size=", size)));
    return info;
  }
  ASSIGN_OR_RETURN(const Usage usage, FileSystemUsage(path));
  if (usage.capacity_bytes == size) return info;
  RETURN_IF_ERROR_CTX(
      os::Mount(kSource, path, "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV,
                absl::StrCat("size=", size)),
      absl::StrCat("resize volume ", spec.id));
  return info;
}

absl::Status TmpfsVolumes::Delete(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold hold(locks_, id);
  ASSIGN_OR_RETURN(const bool mounted, IsMounted(id));
  if (!mounted) return absl::OkStatus();
  RETURN_IF_ERROR(os::UnmountBelow(Path(id)));
  rmdir(Path(id).c_str());
  return absl::OkStatus();
}

std::vector<VolumeInfo> TmpfsVolumes::List() {
  std::vector<VolumeInfo> result;
  absl::StatusOr<std::vector<os::MountPoint>> mounts = os::ListMounts();
  if (!mounts.ok()) {
    LOG_ERROR("cannot list volumes", {{"error", mounts.status()}});
    return result;
  }
  for (const os::MountPoint& mount : *mounts) {
    absl::string_view id = mount.path;
    if (mount.type != "tmpfs" ||
        !absl::ConsumePrefix(&id, absl::StrCat(mounts_, "/")) ||
        !CheckVolumeId(id).ok()) {
      continue;
    }
    result.push_back({std::string(id), mount.path, Driver::kTmpfs});
  }
  std::sort(
      result.begin(), result.end(),
      [](const VolumeInfo& a, const VolumeInfo& b) { return a.id < b.id; });
  return result;
}

absl::Status TmpfsVolumes::Refuse(absl::string_view id,
                                  const char* verb) const {
  RETURN_IF_ERROR(Check(id));
  ASSIGN_OR_RETURN(const bool mounted, IsMounted(id));
  if (!mounted) {
    return NoSuchVolume(id);
  }
  return absl::FailedPreconditionError(absl::StrCat(
      verb, " volume ", id,
      ": it is in memory, of which there are no snapshots and backups"));
}

absl::StatusOr<Usage> TmpfsVolumes::GetUsage(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  ASSIGN_OR_RETURN(const bool mounted, IsMounted(id));
  if (mounted) return FileSystemUsage(Path(id));
  return NoSuchVolume(id);
}

absl::StatusOr<SnapshotInfo> TmpfsVolumes::Snapshot(absl::string_view id,
                                                    absl::string_view name,
                                                    const Wanted&) {
  RETURN_IF_ERROR(CheckVolumeId(name));
  return Refuse(id, "snapshot");
}

absl::Status TmpfsVolumes::DeleteSnapshot(absl::string_view id,
                                          absl::string_view name) {
  RETURN_IF_ERROR(CheckVolumeId(name));
  return Check(id);
}

absl::StatusOr<std::vector<SnapshotInfo>> TmpfsVolumes::ListSnapshots(
    absl::string_view id) {
  RETURN_IF_ERROR(GetUsage(id).status());
  return std::vector<SnapshotInfo>();
}

absl::StatusOr<std::unique_ptr<ContentView>> TmpfsVolumes::OpenSnapshot(
    absl::string_view id, absl::string_view) {
  return Refuse(id, "read a snapshot of");
}

absl::StatusOr<VolumeInfo> TmpfsVolumes::Clone(absl::string_view source,
                                               absl::string_view,
                                               const VolumeSpec&,
                                               const Wanted&) {
  return Refuse(source, "clone");
}

absl::StatusOr<std::unique_ptr<ContentView>> TmpfsVolumes::Stage(
    absl::string_view id, absl::string_view, absl::string_view, const Wanted&) {
  return Refuse(id, "restore");
}

absl::Status TmpfsVolumes::Swap(absl::string_view id, absl::string_view) {
  return Refuse(id, "restore");
}

absl::Status TmpfsVolumes::DropStage(absl::string_view id) { return Check(id); }

}  // namespace bulwark::volumes
