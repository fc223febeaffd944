#include "volumes/local/local_volumes.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/copy.h"
#include "os/files.h"
#include "os/measure.h"
#include "volumes/disk.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

constexpr mode_t kParentMode = 0711;
constexpr mode_t kVolumeMode = 0755;
// No id: taken under a volume's.
constexpr char kTrashLock[] = ".trash";
// A usage of more files than this is a lower bound: looking must not load the
// disk for minutes.
constexpr int64_t kMostMeasured = 1'000'000;

class Directory final : public ContentView {
 public:
  explicit Directory(std::string parent) : parent_(std::move(parent)) {}
  const std::string& parent() const override { return parent_; }

 private:
  const std::string parent_;
};

std::string DataIn(const std::string& parent) {
  return absl::StrCat(parent, "/", kContentName);
}

}  // namespace

LocalVolumes::LocalVolumes(std::string state_dir)
    : directory_(absl::StrCat(state_dir, "/volumes")),
      trash_(directory_ + "/.trash"),
      snapshots_(directory_ + "/.snapshots"),
      staging_(directory_ + "/.staging") {}

std::string LocalVolumes::Path(absl::string_view id) const {
  return absl::StrCat(directory_, "/", id);
}

std::string LocalVolumes::SnapshotsOf(absl::string_view id) const {
  return absl::StrCat(snapshots_, "/", id);
}

std::string LocalVolumes::SnapshotPath(absl::string_view id,
                                       absl::string_view name) const {
  return absl::StrCat(SnapshotsOf(id), "/", name);
}

// No id either, since those have no slash.
std::string LocalVolumes::SnapshotsLock(absl::string_view id) {
  return absl::StrCat(id, "/snapshots");
}

std::string LocalVolumes::StagePath(absl::string_view id,
                                    absl::string_view token) const {
  return absl::StrCat(staging_, "/", id, ".", token);
}

VolumeInfo LocalVolumes::InfoOf(absl::string_view id) const {
  return {std::string(id), Path(id), Driver::kLocal};
}

absl::Status LocalVolumes::Open() {
  RETURN_IF_ERROR(MakeDirectory(directory_, kParentMode));
  for (const std::string& hidden : {trash_, snapshots_, staging_}) {
    RETURN_IF_ERROR(MakeDirectory(hidden, 0700));
  }
  RETURN_IF_ERROR(os::SyncDir(directory_));
  // Work that was cut short; stages wait for who began them.
  ASSIGN_OR_RETURN(const std::vector<std::string> stages,
                   ListDirectory(staging_));
  for (const std::string& name : stages) {
    if (absl::EndsWith(name, ".work")) {
      RETURN_IF_ERROR(Bury(absl::StrCat(staging_, "/", name), trash_));
    }
  }
  open_ = true;
  // What cannot be removed now (a container still has it mounted) waits.
  if (absl::Status status = EmptyTrash(trash_); !status.ok()) {
    LOG_WARN("volume trash is not empty", {{"error", status}});
  }
  return absl::OkStatus();
}

absl::Status LocalVolumes::Check(absl::string_view id) const {
  return CheckCall(open_, id);
}

absl::Status LocalVolumes::CheckExists(absl::string_view id) const {
  RETURN_IF_ERROR(Check(id));
  if (IsDirectory(Path(id))) return absl::OkStatus();
  return NoSuchVolume(id);
}

absl::StatusOr<VolumeInfo> LocalVolumes::Ensure(const VolumeSpec& spec) {
  RETURN_IF_ERROR(Check(spec.id));
  IdLocks::Hold hold(locks_, spec.id);
  RETURN_IF_ERROR_CTX(MakeDirectory(Path(spec.id), kVolumeMode),
                      absl::StrCat("make volume ", spec.id));
  // Also if it exists: an earlier attempt may have died before this.
  RETURN_IF_ERROR(os::SyncDir(directory_));
  return InfoOf(spec.id);
}

absl::Status LocalVolumes::Remove(const std::string& path) {
  RETURN_IF_ERROR(Bury(path, trash_));
  return CleanTrash();
}

absl::Status LocalVolumes::CleanTrash() {
  IdLocks::Hold hold(locks_, kTrashLock);
  return EmptyTrash(trash_);
}

absl::Status LocalVolumes::Delete(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold unread(locks_, SnapshotsLock(id));
  IdLocks::Hold hold(locks_, id);
  RETURN_IF_ERROR(DropStageLocked(id));
  RETURN_IF_ERROR(Bury(SnapshotsOf(id), trash_));
  return Remove(Path(id));
}

std::vector<VolumeInfo> LocalVolumes::List() {
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory_);
  std::vector<VolumeInfo> result;
  if (!names.ok()) {
    LOG_ERROR("cannot list volumes", {{"error", names.status()}});
    return result;
  }
  for (const std::string& name : *names) {
    if (CheckVolumeId(name).ok() && IsDirectory(Path(name))) {
      result.push_back(InfoOf(name));
    }
  }
  return result;
}

absl::StatusOr<Usage> LocalVolumes::GetUsage(absl::string_view id) {
  RETURN_IF_ERROR(CheckExists(id));
  ASSIGN_OR_RETURN(Usage usage, FileSystemUsage(Path(id)));
  ASSIGN_OR_RETURN(const os::TreeUsage size,
                   os::MeasureTree(Path(id), kMostMeasured));
  usage.used_bytes = size.bytes;
  usage.used_inodes = size.entries;
  return usage;
}

absl::StatusOr<std::string> LocalVolumes::NewWork(absl::string_view id) {
  const std::string work = StagePath(id, "new.work");
  RETURN_IF_ERROR(Remove(work));
  RETURN_IF_ERROR(MakeDirectory(work, 0700));
  RETURN_IF_ERROR(MakeDirectory(DataIn(work), kVolumeMode));
  return work;
}

absl::StatusOr<SnapshotInfo> LocalVolumes::DescribeSnapshot(
    absl::string_view id, const std::string& name) const {
  const std::string path = SnapshotPath(id, name);
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ErrnoStatus("find", path);
  SnapshotInfo snapshot;
  snapshot.name = name;
  snapshot.create_time = absl::TimeFromTimespec(info.st_mtim);
  ASSIGN_OR_RETURN(const std::string size,
                   os::ReadFile(absl::StrCat(path, "/size"), 64));
  if (!absl::SimpleAtoi(size, &snapshot.size_bytes)) {
    return absl::DataLossError(absl::StrCat("read ", path, "/size: no number"));
  }
  return snapshot;
}

absl::StatusOr<SnapshotInfo> LocalVolumes::Snapshot(absl::string_view id,
                                                    absl::string_view name,
                                                    const Wanted& wanted) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  IdLocks::Hold hold(locks_, id);
  const std::string path = SnapshotPath(id, name);
  if (!Exists(path)) {
    ASSIGN_OR_RETURN(const std::string work, NewWork(id));
    absl::StatusOr<os::TreeUsage> size =
        os::CopyTree(Path(id), DataIn(work), wanted);
    absl::Status made = size.status();
    if (size.ok()) {
      made = os::WriteFileDurably(absl::StrCat(work, "/size"),
                                  absl::StrCat(size->bytes));
    }
    if (made.ok()) made = os::SyncFs(work);
    if (made.ok()) made = MakeDirectory(SnapshotsOf(id), 0700);
    if (made.ok()) made = os::SyncDir(snapshots_);
    if (made.ok()) made = MoveDurably(work, path);
    if (!made.ok()) {
      Remove(work).IgnoreError();  // the next start tries again
      return made;
    }
  }
  return DescribeSnapshot(id, std::string(name));
}

absl::Status LocalVolumes::DeleteSnapshot(absl::string_view id,
                                          absl::string_view name) {
  RETURN_IF_ERROR(Check(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  IdLocks::Hold unread(locks_, SnapshotsLock(id));
  IdLocks::Hold hold(locks_, id);
  return Remove(SnapshotPath(id, name));
}

absl::StatusOr<std::vector<SnapshotInfo>> LocalVolumes::ListSnapshots(
    absl::string_view id) {
  RETURN_IF_ERROR(CheckExists(id));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListDirectory(SnapshotsOf(id)));
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

absl::StatusOr<std::unique_ptr<ContentView>> LocalVolumes::OpenSnapshot(
    absl::string_view id, absl::string_view name) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  const std::string path = SnapshotPath(id, name);
  if (!Exists(path)) {
    return absl::NotFoundError(
        absl::StrCat("find snapshot ", name, ": it does not exist"));
  }
  return std::make_unique<Directory>(path);
}

absl::StatusOr<VolumeInfo> LocalVolumes::Clone(absl::string_view source,
                                               absl::string_view snapshot,
                                               const VolumeSpec& target,
                                               const Wanted& wanted) {
  // A copy takes files that vanish for normal: under it they must not. The
  // source's own lock stays free, so that its containers can start.
  IdLocks::Hold read(locks_, SnapshotsLock(source));
  ASSIGN_OR_RETURN(const std::unique_ptr<ContentView> from,
                   OpenSnapshot(source, snapshot));
  RETURN_IF_ERROR(Check(target.id));
  IdLocks::Hold hold(locks_, target.id);
  if (Exists(Path(target.id))) return InfoOf(target.id);
  ASSIGN_OR_RETURN(const std::string work, NewWork(target.id));
  absl::Status made =
      os::CopyTree(DataIn(from->parent()), DataIn(work), wanted).status();
  if (made.ok()) made = os::SyncFs(work);
  if (made.ok()) made = MoveDurably(DataIn(work), Path(target.id));
  Remove(work).IgnoreError();  // the next start tries again
  RETURN_IF_ERROR(made);
  return InfoOf(target.id);
}

absl::StatusOr<std::unique_ptr<ContentView>> LocalVolumes::Stage(
    absl::string_view id, absl::string_view token, absl::string_view snapshot,
    const Wanted& wanted) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(token));
  IdLocks::Hold hold(locks_, id);
  std::unique_ptr<ContentView> from;
  if (!snapshot.empty()) {
    ASSIGN_OR_RETURN(from, OpenSnapshot(id, snapshot));
  }
  RETURN_IF_ERROR(DropStageLocked(id));
  ASSIGN_OR_RETURN(const std::string work, NewWork(id));
  absl::Status made;
  if (from != nullptr) {
    made = os::CopyTree(DataIn(from->parent()), DataIn(work), wanted).status();
    if (made.ok()) made = os::SyncFs(work);
  }
  if (made.ok()) made = MoveDurably(work, StagePath(id, token));
  if (!made.ok()) {
    Remove(work).IgnoreError();  // the next start tries again
    return made;
  }
  if (from != nullptr) return std::unique_ptr<ContentView>();
  return std::make_unique<Directory>(StagePath(id, token));
}

absl::Status LocalVolumes::Swap(absl::string_view id, absl::string_view token) {
  RETURN_IF_ERROR(CheckExists(id));
  RETURN_IF_ERROR(CheckVolumeId(token));
  IdLocks::Hold hold(locks_, id);
  const std::string staged = StagePath(id, token);
  RETURN_IF_ERROR(os::SyncFs(directory_));
  return SwapOnce(DataIn(staged), Path(id), absl::StrCat(staged, ".swap"));
}

absl::Status LocalVolumes::DropStageLocked(absl::string_view id) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListDirectory(staging_));
  absl::Status first;
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, absl::StrCat(id, "."))) continue;
    first.Update(Bury(absl::StrCat(staging_, "/", name), trash_));
  }
  RETURN_IF_ERROR(first);
  return CleanTrash();
}

absl::Status LocalVolumes::DropStage(absl::string_view id) {
  RETURN_IF_ERROR(Check(id));
  IdLocks::Hold hold(locks_, id);
  return DropStageLocked(id);
}

}  // namespace bulwark::volumes
