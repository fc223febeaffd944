#include "os/bare_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

#include "absl/status/status.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

constexpr unsigned long kInert = MS_NOSUID | MS_NODEV | MS_NOEXEC;

absl::Status Check(int result, const char* what, const std::string& where) {
  return result == 0 ? absl::OkStatus() : ErrnoStatus(what, where);
}

absl::Status Populate() {
  for (const char* name : {"proc", "sys", "dev", kBareStage + 1}) {
    RETURN_IF_ERROR(Check(mkdir(name, 0755), "mkdir", name));
  }
  RETURN_IF_ERROR(
      Check(mount("proc", "proc", "proc", kInert, nullptr), "mount", "proc"));
  RETURN_IF_ERROR(
      Check(mount("sysfs", "sys", "sysfs", kInert, nullptr), "mount", "sysfs"));
  // What masks files.
  RETURN_IF_ERROR(Check(mknod("dev/null", S_IFCHR | 0666, makedev(1, 3)),
                        "mknod", "dev/null"));
  return Check(chmod("dev/null", 0666), "chmod", "dev/null");
}

// In a thread of its own, which leaves the host's mounts for good.
absl::StatusOr<UniqueFd> Make(const std::string& directory) {
  RETURN_IF_ERROR(
      Check(unshare(CLONE_NEWNS), "unshare", "the mount namespace"));
  RETURN_IF_ERROR(
      Check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount",
            "/"));
  RETURN_IF_ERROR(Check(mount("bare", directory.c_str(), "tmpfs",
                              MS_NOSUID | MS_NOEXEC, "mode=755,size=64k"),
                        "mount tmpfs on", directory));
  RETURN_IF_ERROR(Check(chdir(directory.c_str()), "chdir", directory));
  RETURN_IF_ERROR(Populate());
  // The old root lies on the new one then (pivot_root(2)).
  RETURN_IF_ERROR(Check(static_cast<int>(syscall(SYS_pivot_root, ".", ".")),
                        "pivot_root", directory));
  RETURN_IF_ERROR(Check(umount2(".", MNT_DETACH), "unmount", "the old root"));
  RETURN_IF_ERROR(Check(
      mount(nullptr, "/", nullptr,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, nullptr),
      "remount", "/"));
  UniqueFd fd(open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", "the mount namespace");
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> MakeBareMounts(const std::string& directory) {
  absl::StatusOr<UniqueFd> made = absl::InternalError("not run");
  std::thread([&] { made = Make(directory); }).join();
  RETURN_IF_ERROR_CTX(made.status(), "make a bare mount namespace");
  return made;
}

}  // namespace bulwark::os
