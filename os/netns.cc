#include "os/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

// A pin is mounted once; more layers are another program's accident.
constexpr int kMaxPinLayers = 8;

absl::Status Enter(int fd) {
  if (setns(fd, CLONE_NEWNET) == 0) return absl::OkStatus();
  return ErrnoStatus("enter", absl::StrCat("network namespace ", fd));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetnsWorker>> NetnsWorker::Start() {
  ASSIGN_OR_RETURN(UniqueFd home, CurrentNetns());
  auto worker = std::unique_ptr<NetnsWorker>(new NetnsWorker(std::move(home)));
  worker->thread_ = std::thread([w = worker.get()] { w->Loop(); });
  return worker;
}

NetnsWorker::~NetnsWorker() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void NetnsWorker::Loop() {
  absl::MutexLock lock(&mu_);
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stop_ || (task_ != nullptr && !done_);
  };
  while (true) {
    mu_.Await(absl::Condition(&ready));
    if (stop_) return;
    absl::FunctionRef<absl::Status()>* task = task_;
    int target = netns_fd_ < 0 ? home_.get() : netns_fd_;
    mu_.Unlock();
    absl::Status status = Enter(target);
    if (status.ok()) status = (*task)();
    // Staying would keep a foreign namespace alive until the next task.
    if (absl::Status back = Enter(home_.get()); !back.ok()) {
      LOG_ERROR("cannot leave a network namespace", {{"error", back}});
    }
    mu_.Lock();
    result_ = std::move(status);
    done_ = true;
  }
}

absl::Status NetnsWorker::Run(int netns_fd,
                              absl::FunctionRef<absl::Status()> task) {
  CHECK(std::this_thread::get_id() != thread_.get_id());
  absl::MutexLock one(&run_mu_);
  absl::MutexLock lock(&mu_);
  netns_fd_ = netns_fd;
  done_ = false;
  task_ = &task;
  mu_.Await(absl::Condition(&done_));
  task_ = nullptr;
  return std::move(result_);
}

absl::StatusOr<UniqueFd> NetnsWorker::Create() {
  UniqueFd fd;
  RETURN_IF_ERROR(Run(-1, [&fd]() -> absl::Status {
    if (unshare(CLONE_NEWNET) != 0) {
      return ErrnoStatus("make", "network namespace");
    }
    ASSIGN_OR_RETURN(fd, CurrentNetns());
    return absl::OkStatus();
  }));
  return fd;
}

absl::StatusOr<UniqueFd> CurrentNetns() {
  return OpenNetns("/proc/thread-self/ns/net");
}

absl::StatusOr<UniqueFd> OpenNetns(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return ErrnoStatus("open", path);
  if (ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) {
    return absl::FailedPreconditionError(
        absl::StrCat("open ", path, ": not a network namespace"));
  }
  return fd;
}

bool SameNetns(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

absl::Status PinNetns(int netns_fd, const std::string& path) {
  if (OpenNetns(path).ok()) {
    return absl::AlreadyExistsError(
        absl::StrCat("pin ", path, ": a namespace is pinned there"));
  }
  {
    UniqueFd file(
        open(path.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0400));
    if (!file.ok()) return ErrnoStatus("create", path);
  }
  std::string source = absl::StrCat("/proc/self/fd/", netns_fd);
  if (mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    absl::Status status = ErrnoStatus("pin network namespace at", path);
    unlink(path.c_str());
    return status;
  }
  return absl::OkStatus();
}

absl::Status UnpinNetns(const std::string& path) {
  for (int i = 0; i <= kMaxPinLayers; ++i) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno != EBUSY) break;  // not for a mount there
    if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
    if (errno != EINVAL) return ErrnoStatus("unmount", path);
    errno = EBUSY;  // what is mounted is mounted at another path of it
    break;
  }
  return ErrnoStatus("remove", path);
}

absl::Status MakePrivateMount(const std::string& path) {
  struct statx info;
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, 0, &info) != 0) {
    return ErrnoStatus("look at", path);
  }
  if (!(info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)) {
    return absl::FailedPreconditionError(
        "find mount points: the kernel is older than 5.8");
  }
  if (!(info.stx_attributes & STATX_ATTR_MOUNT_ROOT) &&
      mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoStatus("bind", path);
  }
  // Also after a crash between the two calls.
  if (mount(nullptr, path.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus("make private", path);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::os
