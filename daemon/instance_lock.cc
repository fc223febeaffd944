#include "daemon/instance_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark::daemon {
namespace {

constexpr int64_t kMaxMountInfo = int64_t{64} << 20;

absl::StatusOr<UniqueFd> LockRuntime(const Config& config) {
  RETURN_IF_ERROR(os::MakeDirs(config.runtime_dir, 0755));
  const std::string path = config.runtime_dir + "/bulwarkd.lock";
  UniqueFd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.ok()) return ErrnoStatus("open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus("lock", path);
    char pid[24] = {};
    const ssize_t n = pread(lock.get(), pid, sizeof(pid) - 1, 0);
    const absl::string_view owner =
        absl::StripAsciiWhitespace(absl::string_view(pid, n > 0 ? n : 0));
    return absl::FailedPreconditionError(absl::StrCat(
        "lock ", config.runtime_dir, ": another bulwarkd",
        owner.empty() ? "" : absl::StrCat(" (pid ", owner, ")"),
        " uses it; stop that one, or give this one its own --instance, "
        "--runtime-dir and --state-dir"));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    // The pid only improves a message, and the disk may be full.
    LOG_DEBUG("cannot write the pid", {{"file", path}});
  }
  return lock;
}

absl::StatusOr<UniqueFd> LockKernel(const Config& config, Clock& clock) {
  ASSIGN_OR_RETURN(std::string mounts,
                   os::ReadFile("/proc/self/mountinfo", kMaxMountInfo));
  ASSIGN_OR_RETURN(os::CgroupLayout layout, os::ParseCgroupLayout(mounts));
  const std::string path = absl::StrCat(layout.unified, "/", config.instance);
  RETURN_IF_ERROR(
      os::Cgroups(std::move(layout), config.instance, clock).Prepare());
  UniqueFd lock(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.ok()) return ErrnoStatus("open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return ErrnoStatus("lock", path);
  return absl::FailedPreconditionError(absl::StrCat(
      "take instance ", config.instance,
      ": another bulwarkd runs it, with other directories; stop that one, or "
      "give this one its own --instance"));
}

}  // namespace

absl::StatusOr<InstanceLock> InstanceLock::Take(const Config& config,
                                                Clock& clock) {
  ASSIGN_OR_RETURN(UniqueFd runtime, LockRuntime(config));
  ASSIGN_OR_RETURN(UniqueFd kernel, LockKernel(config, clock));
  return InstanceLock(std::move(runtime), std::move(kernel));
}

}  // namespace bulwark::daemon
