#include "os/user_namespace.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::os {
namespace {

constexpr size_t kStack = 16 << 10;
constexpr absl::Duration kEntryPatience = absl::Seconds(10);

long Raw(long number, long a = 0, long b = 0, long c = 0) {
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory");
  return result;
}

// What a helper does, and is asked. It shares our memory and runs beside us, so
// it makes system calls only, and by no function that stores an error.
struct Errand {
  long parent = 0;
  int enter = -1;  // a user namespace
  // -1: not there yet; else the error with which it entered, 0 for none.
  std::atomic<int> error = -1;
};

// Waits for its end, or ours.
int Wait(void* argument) {
  Errand& errand = *static_cast<Errand*>(argument);
  Raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  if (errand.enter >= 0) {
    errand.error.store(
        static_cast<int>(-Raw(SYS_setns, errand.enter, CLONE_NEWUSER)));
    Raw(SYS_futex, reinterpret_cast<long>(&errand.error), FUTEX_WAKE_PRIVATE,
        1);
  }
  while (Raw(SYS_getppid) == errand.parent) Raw(SYS_pause);
  Raw(SYS_exit_group, 0);
  return 0;
}

// A process in a user namespace, through whose files in /proc the namespace's
// ids are written. Ends with this.
class Helper {
 public:
  // With new namespaces by `flags`, or in the one of `enter`.
  static absl::StatusOr<std::unique_ptr<Helper>> Start(int flags, int enter) {
    auto helper = absl::WrapUnique(new Helper(enter));
    // No handler of ours may run in the child.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int pidfd = -1;
    const int pid =
        clone(&Wait, helper->stack_ + kStack,
              flags | CLONE_VM | CLONE_FILES | CLONE_PIDFD | SIGCHLD,
              &helper->errand_, &pidfd);
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    if (pid < 0) {
      if (error == ENOSPC || error == EUSERS) {
        return absl::ResourceExhaustedError(
            "make user namespace: the host allows no more; raise "
            "user.max_user_namespaces");
      }
      return ErrnoStatus(error, "make", "user namespace");
    }
    helper->pid_ = pid;
    helper->pidfd_.Reset(pidfd);
    if (enter >= 0) RETURN_IF_ERROR(helper->AwaitEntry());
    return helper;
  }

  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  // Its stack is ours: it has ended when this returns.
  ~Helper() {
    if (!pidfd_.ok()) return;
    SendSignal(pidfd_.get(), SIGKILL).IgnoreError();
    AwaitEnd(pidfd_.get(), absl::InfiniteDuration());
    ReapChild(pidfd_.get());
  }

  absl::Status WriteMaps(const IdRange& ids) const {
    for (const char* file : {"uid_map", "gid_map"}) {
      const std::string path = Path(file);
      const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!fd.ok()) return ErrnoStatus("open", path);
      RETURN_IF_ERROR(WriteAll(
          fd.get(), absl::StrCat("0 ", ids.first, " ", ids.size, "\n"), path));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<UserNamespace> OpenNamespaces() const {
    UserNamespace made;
    ASSIGN_OR_RETURN(made.user, Open("ns/user"));
    ASSIGN_OR_RETURN(made.network, Open("ns/net"));
    return made;
  }

 private:
  explicit Helper(int enter) {
    errand_.parent = getpid();
    errand_.enter = enter;
  }

  // Bounded, since somebody may have killed it.
  absl::Status AwaitEntry() {
    const timespec patience = absl::ToTimespec(kEntryPatience);
    while (errand_.error.load() < 0) {
      if (syscall(SYS_futex, &errand_.error, FUTEX_WAIT_PRIVATE, -1,
                  &patience) != 0 &&
          errno == ETIMEDOUT) {
        return absl::DeadlineExceededError(
            "enter user namespace: the process that should died or hangs");
      }
    }
    if (const int error = errand_.error.load(); error != 0) {
      return ErrnoStatus(error, "enter", "user namespace");
    }
    return absl::OkStatus();
  }

  std::string Path(absl::string_view file) const {
    return absl::StrCat("/proc/", pid_, "/", file);
  }
  absl::StatusOr<UniqueFd> Open(absl::string_view file) const {
    const std::string path = Path(file);
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open", path);
    return fd;
  }

  alignas(16) char stack_[kStack];
  Errand errand_;
  int pid_ = -1;
  UniqueFd pidfd_;
};

// What the child of a try found: a file system that it could not mount.
struct Refusal {
  const char* type = nullptr;
  int error = 0;
};

// In namespaces of its own, while its parent waits.
int TryMounts(void* argument) {
  Refusal* refusal = static_cast<Refusal*>(argument);
  for (const char* type : {"proc", "sysfs"}) {
    const int fs = static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
    const bool good = fs >= 0 &&
                      syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, nullptr,
                              nullptr, 0) == 0 &&
                      syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
                              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                  MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY) >= 0;
    if (good) continue;
    *refusal = {type, errno};
    break;
  }
  _exit(0);
}

// The kernel lets nobody see more of /proc and /sys than he sees already: where
// something covers a part of the host's, as in most containers, no user
// namespace gets its own.
absl::Status CheckSystemMounts() {
  alignas(16) char stack[kStack];
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  Refusal refusal;
  int pidfd_number = -1;
  const int pid = clone(&TryMounts, stack + kStack,
                        CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | CLONE_NEWNET |
                            CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
                            CLONE_PIDFD | SIGCHLD,
                        &refusal, &pidfd_number);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (pid < 0) return ErrnoStatus(error, "make", "user namespace");
  const UniqueFd pidfd(pidfd_number);
  AwaitEnd(pidfd.get(), absl::InfiniteDuration());
  ReapChild(pidfd.get());
  if (refusal.type == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      ErrnoStatus(refusal.error, "mount", refusal.type).message(),
      " in a user namespace; something may cover a part of the host's"));
}

}  // namespace

absl::StatusOr<UserNamespace> MakeUserNamespace(const IdRange& ids) {
  ASSIGN_OR_RETURN(const auto helper,
                   Helper::Start(CLONE_NEWUSER | CLONE_NEWNET, -1));
  RETURN_IF_ERROR(helper->WriteMaps(ids));
  return helper->OpenNamespaces();
}

absl::StatusOr<UserNamespace> MakeUnmappedUserNamespace() {
  ASSIGN_OR_RETURN(const auto helper,
                   Helper::Start(CLONE_NEWUSER | CLONE_NEWNET, -1));
  return helper->OpenNamespaces();
}

absl::Status MapUserNamespace(int user_namespace, const IdRange& ids) {
  ASSIGN_OR_RETURN(const auto helper, Helper::Start(0, user_namespace));
  return helper->WriteMaps(ids);
}

absl::Status CheckUserNamespaces(const std::string& path) {
  const absl::StatusOr<UserNamespace> made = MakeUserNamespace({1 << 20, 1});
  if (!made.ok()) {
    return absl::FailedPreconditionError(made.status().message());
  }
  RETURN_IF_ERROR(CheckSystemMounts());
  const UniqueFd tree(static_cast<int>(syscall(
      SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | O_CLOEXEC)));
  if (!tree.ok()) return ErrnoStatus("clone mount of", path);
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(made->user.get());
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
              sizeof(attributes)) == 0) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("map ids of ", path, ": ",
                   ErrnoStatus(errno, "mount", "it with other ids").message(),
                   "; its file system cannot do that"));
}

}  // namespace bulwark::os
