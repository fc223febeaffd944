#include "volumes/local/local_volumes.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

constexpr mode_t kParentMode = 0711;
constexpr mode_t kVolumeMode = 0755;

// Whatever the umask says.
absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0) {
    if (errno != EEXIST) return ErrnoStatus("make directory", path);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) return ErrnoStatus("look at", path);
    if (S_ISDIR(info.st_mode)) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("make directory ", path, ": something else is there"));
  }
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus("set mode of", path);
  return absl::OkStatus();
}

// Sorted. `.` names are skipped.
absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  if (dir == nullptr) return ErrnoStatus("open", path);
  std::vector<std::string> names;
  errno = 0;
  while (dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus("read", path);
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status NotOpen() {
  return absl::FailedPreconditionError(
      "volumes: not open (Open() failed or was not called)");
}

}  // namespace

LocalVolumes::LocalVolumes(std::string state_dir)
    : directory_(absl::StrCat(state_dir, "/volumes")),
      trash_(directory_ + "/.trash") {}

std::string LocalVolumes::Path(absl::string_view id) const {
  return absl::StrCat(directory_, "/", id);
}

absl::Status LocalVolumes::Open() {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(MakeDirectory(directory_, kParentMode));
  RETURN_IF_ERROR(MakeDirectory(trash_, 0700));
  RETURN_IF_ERROR(os::SyncDir(directory_));
  open_ = true;
  // What cannot be removed now (a container still has it mounted) waits.
  if (absl::Status status = EmptyTrash(); !status.ok()) {
    LOG_WARN("volume trash is not empty", {{"error", status}});
  }
  return absl::OkStatus();
}

absl::StatusOr<VolumeInfo> LocalVolumes::Ensure(absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  absl::MutexLock lock(&mu_);
  if (!open_) return NotOpen();
  VolumeInfo info{std::string(id), Path(id)};
  RETURN_IF_ERROR_CTX(MakeDirectory(info.path, kVolumeMode),
                      absl::StrCat("make volume ", id));
  // Also if it exists: an earlier attempt may have died before this.
  RETURN_IF_ERROR(os::SyncDir(directory_));
  return info;
}

absl::Status LocalVolumes::Delete(absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  absl::MutexLock lock(&mu_);
  if (!open_) return NotOpen();
  // A volume of the same id may lie there since an earlier, failed removal.
  for (int i = 0;; ++i) {
    const std::string grave = absl::StrCat(trash_, "/", id, ".", i);
    struct stat info;
    if (lstat(grave.c_str(), &info) == 0) continue;
    if (rename(Path(id).c_str(), grave.c_str()) == 0) break;
    if (errno == ENOENT) return EmptyTrash();
    return ErrnoStatus("delete volume", Path(id));
  }
  RETURN_IF_ERROR(os::SyncDir(trash_));
  RETURN_IF_ERROR(os::SyncDir(directory_));
  return EmptyTrash();
}

absl::Status LocalVolumes::EmptyTrash() {
  ASSIGN_OR_RETURN(std::vector<std::string> graves, ListDirectory(trash_));
  absl::Status first;
  for (const std::string& grave : graves) {
    first.Update(os::RemoveTree(absl::StrCat(trash_, "/", grave)));
  }
  return first;
}

std::vector<VolumeInfo> LocalVolumes::List() {
  absl::MutexLock lock(&mu_);
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory_);
  std::vector<VolumeInfo> result;
  if (!names.ok()) {
    LOG_ERROR("cannot list volumes", {{"error", names.status()}});
    return result;
  }
  for (const std::string& name : *names) {
    struct stat info;
    if (!CheckVolumeId(name).ok() || lstat(Path(name).c_str(), &info) != 0 ||
        !S_ISDIR(info.st_mode)) {
      continue;
    }
    result.push_back({name, Path(name)});
  }
  return result;
}

}  // namespace bulwark::volumes
