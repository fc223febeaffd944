#include "os/testing/reflink_disk.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"
#include "os/loop.h"
#include "os/mounts.h"
#include "os/program.h"

namespace bulwark::os {
namespace {

// The least that mkfs.xfs takes is 300 MiB. Holes, until written to.
constexpr off_t kSize = 320 << 20;

absl::Status Format(const std::string& type, const std::string& file) {
  Program mkfs;
  mkfs.name = absl::StrCat("mkfs.", type);
  mkfs.args = {"-q"};
  if (type == "xfs") mkfs.args.insert(mkfs.args.end(), {"-m", "reflink=1"});
  mkfs.args.push_back(file);
  ASSIGN_OR_RETURN(const ProgramResult result, RunProgram(mkfs));
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("run ", mkfs.name, ": exit code ",
                                          result.exit_code, ": ", result.output,
                                          result.errors));
}

}  // namespace

absl::Status PrivateMounts() {
  if (unshare(CLONE_NEWNS) != 0) {
    return ErrnoStatus("enter", "a mount namespace of our own");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus("make private", "/");
  }
  return absl::OkStatus();
}

ReflinkDisk::~ReflinkDisk() { Unmount(path()).IgnoreError(); }

absl::Status ReflinkDisk::Make(const std::string& type) {
  const std::string file = dir_ / "file";
  {
    UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.ok() || ftruncate(fd.get(), kSize) != 0) {
      return ErrnoStatus("make", file);
    }
  }
  RETURN_IF_ERROR(Format(type, file));
  RETURN_IF_ERROR(MakeDirs(path(), 0755));
  ASSIGN_OR_RETURN(const LoopDevice loop, AttachLoop(file, false, dir_.path()));
  if (mount(loop.path.c_str(), path().c_str(), type.c_str(), 0, nullptr) != 0) {
    if (errno == ENODEV) {
      return absl::FailedPreconditionError(
          absl::StrCat("mount ", type, ": this kernel does not have it"));
    }
    return ErrnoStatus(absl::StrCat("mount ", type, " on"), path());
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ReflinkDisk::FreeBytes() const {
  RETURN_IF_ERROR(SyncFs(path()));
  struct statvfs info;
  if (statvfs(path().c_str(), &info) != 0) return ErrnoStatus("ask", path());
  return static_cast<int64_t>(info.f_bfree * info.f_frsize);
}

absl::StatusOr<Extents> ExtentsOf(const std::string& path) {
  constexpr unsigned kMost = 1024;
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  // Room for the header and the extents behind it, aligned for both.
  std::vector<fiemap_extent> room(kMost + 1);
  auto* map = reinterpret_cast<fiemap*>(room.data());
  static_assert(sizeof(fiemap) <= sizeof(fiemap_extent));
  map->fm_length = FIEMAP_MAX_OFFSET;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = kMost;
  if (ioctl(fd.get(), FS_IOC_FIEMAP, map) != 0) {
    return ErrnoStatus("list extents of", path);
  }
  if (map->fm_mapped_extents == kMost) {
    return absl::OutOfRangeError(
        absl::StrCat("list extents of ", path, ": too many"));
  }
  Extents extents;
  for (unsigned i = 0; i < map->fm_mapped_extents; ++i) {
    const fiemap_extent& extent = map->fm_extents[i];
    extents.bytes += static_cast<int64_t>(extent.fe_length);
    if ((extent.fe_flags & FIEMAP_EXTENT_SHARED) != 0) {
      extents.shared += static_cast<int64_t>(extent.fe_length);
    }
  }
  return extents;
}

}  // namespace bulwark::os
