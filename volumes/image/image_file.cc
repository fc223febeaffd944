#include "volumes/image/image_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/rollback.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/copy.h"
#include "os/files.h"
#include "os/loop.h"
#include "os/mounts.h"
#include "os/program.h"
#include "volumes/disk.h"

#ifndef EXT4_IOC_RESIZE_FS
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, __u64)
#endif

namespace bulwark::volumes {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kSuperblock = 1024;
constexpr mode_t kDataMode = 0755;
// e2fsck(8): errors are left.
constexpr int kErrorsLeft = 4;

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.ok()) return ErrnoStatus("open", path);
  return fd;
}

absl::StatusOr<struct stat> Look(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ErrnoStatus("look at", path);
  return info;
}

// One line of a program's complaint.
std::string Sentence(absl::string_view errors) {
  return absl::StrReplaceAll(absl::StripAsciiWhitespace(errors),
                             {{"\n", "; "}});
}

absl::Status Format(const std::string& path) {
  os::Program mkfs;
  mkfs.name = "mkfs.ext4";
  // No blocks kept for root: the quota is the application's. All tables are
  // written now: later the kernel would clear them by giving blocks back.
  mkfs.args = {"-q",
               "-F",
               "-b",
               absl::StrCat(kBlock),
               "-m",
               "0",
               "-E",
               "nodiscard,lazy_itable_init=0,lazy_journal_init=0,"
               "root_owner=0:0",
               path};
  ASSIGN_OR_RETURN(const os::ProgramResult result, os::RunProgram(mkfs));
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("make a file system in ", path, ": ",
                                          Sentence(result.errors)));
}

absl::Status FreezeCall(const std::string& mount_point, unsigned long call,
                        const char* verb) {
  UniqueFd fd(open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", mount_point);
  if (ioctl(fd.get(), call, 0) == 0) return absl::OkStatus();
  return ErrnoStatus(verb, mount_point);
}

}  // namespace

int64_t RoundImageSize(int64_t size) {
  return std::max(kMinImage, (size + kBlock - 1) / kBlock * kBlock);
}

absl::Status MakeImage(const std::string& path, int64_t size,
                       const std::string& mount_point,
                       const std::string& node_dir) {
  {
    ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDWR | O_CREAT | O_EXCL));
    if (ftruncate(file.get(), RoundImageSize(size)) != 0) {
      return ErrnoStatus("make", path);
    }
  }
  RETURN_IF_ERROR(Format(path));
  RETURN_IF_ERROR(AllocateImage(path, size));
  RETURN_IF_ERROR(MountImage(path, mount_point, false, node_dir));
  absl::Status made =
      MakeDirectory(absl::StrCat(mount_point, "/", kContentName), kDataMode);
  made.Update(os::Unmount(mount_point));
  RETURN_IF_ERROR(made);
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY));
  if (fsync(file.get()) != 0) return ErrnoStatus("flush", path);
  return os::SyncDir(path.substr(0, path.rfind('/')));
}

absl::Status CopyImage(const std::string& from, const std::string& to,
                       const Wanted& wanted) {
  ASSIGN_OR_RETURN(UniqueFd source, OpenFile(from, O_RDONLY));
  if (unlink(to.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", to);
  }
  ASSIGN_OR_RETURN(UniqueFd target, OpenFile(to, O_RDWR | O_CREAT | O_EXCL));
  absl::Status status = os::CopyFile(source.get(), target.get(), from, wanted);
  if (status.ok() && fsync(target.get()) != 0) {
    status = ErrnoStatus("flush", to);
  }
  if (!status.ok()) unlink(to.c_str());
  return status;
}

absl::StatusOr<int64_t> FileSize(const std::string& path) {
  ASSIGN_OR_RETURN(const struct stat info, Look(path));
  return int64_t{info.st_size};
}

absl::StatusOr<int64_t> AllocatedSize(const std::string& path) {
  ASSIGN_OR_RETURN(const struct stat info, Look(path));
  return int64_t{info.st_blocks} * 512;
}

absl::Status AllocateImage(const std::string& path, int64_t size) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDWR));
  struct stat info;
  if (fstat(file.get(), &info) != 0) return ErrnoStatus("look at", path);
  const int64_t before = info.st_size;
  const int64_t after = std::max(before, RoundImageSize(size));
  if (before == after && info.st_blocks * 512 >= after) {
    return absl::OkStatus();
  }
  if (fallocate(file.get(), 0, 0, after) == 0) {
    return fsync(file.get()) == 0 ? absl::OkStatus()
                                  : ErrnoStatus("flush", path);
  }
  const absl::Status status =
      ErrnoStatus(absl::StrCat("allocate ", after, " bytes for"), path);
  // It may have got a part of what it asked for.
  if (ftruncate(file.get(), before) != 0) return ErrnoStatus("shorten", path);
  return status;
}

absl::Status CheckImage(const std::string& path) {
  os::Program check;
  check.name = "e2fsck";
  check.args = {"-p", path};
  ASSIGN_OR_RETURN(const os::ProgramResult result, os::RunProgram(check));
  if (result.exit_code < kErrorsLeft) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "check the file system in ", path, ": ",
      Sentence(result.output + result.errors),
      "; restore a snapshot or backup, or repair it with `e2fsck -f ", path,
      "`"));
}

absl::StatusOr<std::string> DeviceMountedAt(const std::string& mount_point) {
  ASSIGN_OR_RETURN(const std::vector<os::MountPoint> mounts, os::ListMounts());
  std::string device;
  for (const os::MountPoint& mount : mounts) {
    if (mount.path == mount_point) device = mount.source;
  }
  return device;
}

absl::Status MountImage(const std::string& path, const std::string& mount_point,
                        bool read_only, const std::string& node_dir) {
  RETURN_IF_ERROR(MakeDirectory(mount_point, 0700));
  ASSIGN_OR_RETURN(const std::string device, DeviceMountedAt(mount_point));
  if (!device.empty()) {
    ASSIGN_OR_RETURN(const std::string file, os::LoopBackingFile(device));
    if (file == path) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "mount ", path, " on ", mount_point, ": ", file, " is mounted there"));
  }
  const unsigned long flags =
      MS_NOSUID | MS_NODEV | MS_NOATIME | (read_only ? MS_RDONLY : 0);
  const std::string options = read_only ? "noload" : "errors=remount-ro";
  ASSIGN_OR_RETURN(const std::string alive, os::FindLoop(path, node_dir));
  if (!alive.empty()) {
    const absl::Status joined =
        os::Mount(alive, mount_point, "ext4", flags, options);
    if (joined.ok()) return joined;
    // Its last user may have gone just now.
    ASSIGN_OR_RETURN(const std::string still, os::FindLoop(path, node_dir));
    if (!still.empty()) return joined;
  }
  ASSIGN_OR_RETURN(const os::LoopDevice loop,
                   os::AttachLoop(path, read_only, node_dir));
  return os::Mount(loop.path, mount_point, "ext4", flags, options);
}

absl::StatusOr<bool> IsInUse(const std::string& path,
                             const std::string& node_dir) {
  ASSIGN_OR_RETURN(const std::string device, os::FindLoop(path, node_dir));
  return !device.empty();
}

// ext4's superblock, docs/filesystems/ext4/super.rst of the kernel: the count
// of blocks in two halves, little-endian as this host is.
absl::StatusOr<bool> FillsFile(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY));
  uint32_t low = 0;
  uint32_t high = 0;
  if (pread(file.get(), &low, sizeof(low), kSuperblock + 4) != sizeof(low) ||
      pread(file.get(), &high, sizeof(high), kSuperblock + 0x150) !=
          sizeof(high)) {
    return ErrnoStatus("read superblock of", path);
  }
  ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
  return ((uint64_t{high} << 32) | low) >= static_cast<uint64_t>(size / kBlock);
}

absl::Status GrowUnmounted(const std::string& path) {
  os::Program check;
  check.name = "e2fsck";
  check.args = {"-f", "-p", path};
  ASSIGN_OR_RETURN(os::ProgramResult result, os::RunProgram(check));
  if (result.exit_code < kErrorsLeft) {
    os::Program resize;
    resize.name = "resize2fs";
    resize.args = {path};
    ASSIGN_OR_RETURN(result, os::RunProgram(resize));
    if (result.exit_code == 0) return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("grow the file system in ", path,
                                          ": ", Sentence(result.errors)));
}

absl::Status GrowMounted(const std::string& path,
                         const std::string& mount_point) {
  ASSIGN_OR_RETURN(const std::string device, DeviceMountedAt(mount_point));
  RETURN_IF_ERROR(os::RefreshLoopSize(device));
  ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
  UniqueFd fd(open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", mount_point);
  uint64_t blocks = static_cast<uint64_t>(size / kBlock);
  if (ioctl(fd.get(), EXT4_IOC_RESIZE_FS, &blocks) != 0) {
    return ErrnoStatus("grow the file system on", mount_point);
  }
  return absl::OkStatus();
}

absl::Status Freeze(const std::string& mount_point) {
  return FreezeCall(mount_point, FIFREEZE, "freeze");
}

absl::Status Thaw(const std::string& mount_point) {
  const absl::Status status = FreezeCall(mount_point, FITHAW, "thaw");
  // EINVAL: it is not frozen.
  return absl::IsInvalidArgument(status) ? absl::OkStatus() : status;
}

}  // namespace bulwark::volumes
