#include "secrets/materialize/memory_mount.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::secrets {
namespace {

constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
// Room for the secrets and configs of all containers; only what is used is
// taken.
constexpr char kTmpfs[] = "mode=0700,size=512m,nr_inodes=256k,noswap";
constexpr char kRamfs[] = "mode=0700";

// Whether `path` is a mount point: it lies on another device than its parent.
absl::StatusOr<bool> IsMountPoint(const std::string& path) {
  struct stat self, parent;
  if (lstat(path.c_str(), &self) != 0) {
    if (errno == ENOENT) return false;
    return ErrnoStatus("look at", path);
  }
  if (lstat(absl::StrCat(path, "/..").c_str(), &parent) != 0) {
    return ErrnoStatus("look at", path);
  }
  return self.st_dev != parent.st_dev;
}

absl::StatusOr<bool> IsInMemory(const std::string& path) {
  struct statfs info;
  if (statfs(path.c_str(), &info) != 0) return ErrnoStatus("look at", path);
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

}  // namespace

absl::Status EnsureMemoryMount(const std::string& path, bool tmpfs) {
  RETURN_IF_ERROR(os::MakeDirs(path, 0700));
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(path));
  if (mounted) {
    ASSIGN_OR_RETURN(const bool in_memory, IsInMemory(path));
    if (in_memory) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("use ", path,
                     " for secrets: a file system that is not in memory is "
                     "mounted there; unmount it"));
  }
  if (tmpfs && mount("tmpfs", path.c_str(), "tmpfs", kFlags, kTmpfs) == 0) {
    return absl::OkStatus();
  }
  if ((!tmpfs || errno == EINVAL) &&
      mount("ramfs", path.c_str(), "ramfs", kFlags, kRamfs) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus("mount memory for secrets on", path);
}

absl::Status RemoveMemoryMount(const std::string& path) {
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(path));
  if (mounted && umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    return ErrnoStatus("unmount", path);
  }
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", path);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::secrets
