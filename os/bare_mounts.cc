#include "os/bare_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

constexpr unsigned long kInert = MS_NOSUID | MS_NODEV | MS_NOEXEC;

absl::Status Check(int result, const char* what, const std::string& where) {
  return result == 0 ? absl::OkStatus() : ErrnoStatus(what, where);
}

// File systems that lie on directories which are there for them, empty.
constexpr absl::string_view kOfTheKernel[] = {
    "autofs",    "binfmt_misc", "bpf",      "cgroup",     "cgroup2",
    "configfs",  "debugfs",     "efivarfs", "fusectl",    "mqueue",
    "nfsd",      "pstore",      "resctrl",  "rpc_pipefs", "securityfs",
    "selinuxfs", "smackfs",     "tracefs",  "xenfs"};

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
  umask(022);  // this thread's alone, by the unshare(2)
  ASSIGN_OR_RETURN(const std::string mounts,
                   ReadFile("/proc/thread-self/mountinfo", 64 << 20));
  if (const std::string hidden = HiddenPart(mounts); !hidden.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the mount on ", hidden, " hides what is below it"));
  }
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

std::string HiddenPart(absl::string_view mountinfo) {
  const auto has = [](const auto& list, absl::string_view item) {
    return std::find(std::begin(list), std::end(list), item) != std::end(list);
  };
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    const auto separator = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - separator < 2) continue;
    const absl::string_view root = fields[3], place = fields[4];
    const absl::string_view type = *(separator + 1);
    if (place == "/proc" || place == "/sys") {
      const std::vector<absl::string_view> options =
          absl::StrSplit(fields[5], ',');
      const bool whole =
          root == "/" && type == (place == "/proc" ? "proc" : "sysfs");
      if (!whole || has(options, "ro")) return std::string(place);
      continue;
    }
    if (!absl::StartsWith(place, "/proc/") &&
        !absl::StartsWith(place, "/sys/")) {
      continue;
    }
    // Version 1 of the control groups lies in a tmpfs there.
    if (place == "/sys/fs/cgroup" && type == "tmpfs") continue;
    if (!has(kOfTheKernel, type)) return std::string(place);
  }
  return "";
}

absl::StatusOr<UniqueFd> MakeBareMounts(const std::string& directory) {
  absl::StatusOr<UniqueFd> made = absl::InternalError("not run");
  std::thread([&] { made = Make(directory); }).join();
  RETURN_IF_ERROR_CTX(made.status(), "make a bare mount namespace");
  return made;
}

}  // namespace bulwark::os
