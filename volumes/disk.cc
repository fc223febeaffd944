#include "volumes/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/files.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

constexpr int64_t kMaxRecord = 64;

std::string ParentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::string NameOf(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Empty if there is nothing.
std::string InodeOf(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_ino);
}

absl::Status SyncParents(const std::string& a, const std::string& b) {
  RETURN_IF_ERROR(os::SyncDir(ParentOf(a)));
  return ParentOf(a) == ParentOf(b) ? absl::OkStatus()
                                    : os::SyncDir(ParentOf(b));
}

}  // namespace

absl::Status CheckCall(bool open, absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  if (open) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "volumes: not open (Open() failed or was not called)");
}

absl::Status NoSuchVolume(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("find volume ", id, ": not found"));
}

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0) {
    if (errno != EEXIST) return ErrnoStatus("make directory", path);
    if (IsDirectory(path)) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("make directory ", path, ": something else is there"));
  }
  if (chmod(path.c_str(), mode) != 0) return ErrnoStatus("set mode of", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  std::vector<std::string> names;
  if (dir == nullptr) {
    if (errno == ENOENT) return names;
    return ErrnoStatus("open", path);
  }
  errno = 0;
  while (dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus("read", path);
  std::sort(names.begin(), names.end());
  return names;
}

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::Status MoveDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(absl::StrCat("rename ", from, " to"), to);
  }
  return SyncParents(to, from);
}

absl::Status Bury(const std::string& path, const std::string& trash) {
  // Something of the same name may lie there since an earlier, failed removal.
  for (int i = 0;; ++i) {
    const std::string grave = absl::StrCat(trash, "/", NameOf(path), ".", i);
    if (Exists(grave)) continue;
    if (!Exists(path)) return absl::OkStatus();
    return MoveDurably(path, grave);
  }
}

absl::Status EmptyTrash(const std::string& trash) {
  ASSIGN_OR_RETURN(const std::vector<std::string> graves, ListDirectory(trash));
  absl::Status first;
  for (const std::string& grave : graves) {
    first.Update(os::RemoveTree(absl::StrCat(trash, "/", grave)));
  }
  return first;
}

absl::Status SwapOnce(const std::string& staged, const std::string& content,
                      const std::string& record) {
  absl::StatusOr<std::string> recorded = os::ReadFile(record, kMaxRecord);
  if (absl::IsNotFound(recorded.status())) {
    recorded = InodeOf(staged);
    if (recorded->empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("swap ", content, ": nothing is staged for it"));
    }
    RETURN_IF_ERROR(os::WriteFileDurably(record, *recorded));
  }
  if (!recorded.ok()) return recorded.status();
  if (InodeOf(content) == *recorded) return SyncParents(content, staged);
  if (InodeOf(staged) != *recorded) {
    return absl::DataLossError(
        absl::StrCat("swap ", content, ": what was staged is gone"));
  }
  const unsigned flags = IsDirectory(content) ? RENAME_EXCHANGE : 0;
  if (syscall(SYS_renameat2, AT_FDCWD, staged.c_str(), AT_FDCWD,
              content.c_str(), flags) != 0) {
    return ErrnoStatus("swap", content);
  }
  return SyncParents(content, staged);
}

absl::StatusOr<Usage> FileSystemUsage(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus("measure", path);
  const int64_t block = static_cast<int64_t>(info.f_frsize);
  Usage usage;
  usage.capacity_bytes = static_cast<int64_t>(info.f_blocks) * block;
  usage.available_bytes = static_cast<int64_t>(info.f_bavail) * block;
  usage.used_bytes = static_cast<int64_t>(info.f_blocks - info.f_bfree) * block;
  usage.capacity_inodes = static_cast<int64_t>(info.f_files);
  usage.used_inodes = static_cast<int64_t>(info.f_files - info.f_ffree);
  return usage;
}

}  // namespace bulwark::volumes
