#include "os/user_namespace.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

long Raw(long number, long a = 0, long b = 0, long c = 0) {
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory");
  return result;
}

// Waits for its end, or ours. It shares our memory and runs beside us, so it
// makes system calls only, and by no function that stores an error.
int Wait(void* parent) {
  Raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  while (Raw(SYS_getppid) == *static_cast<const long*>(parent)) Raw(SYS_pause);
  Raw(SYS_exit_group, 0);
  return 0;
}

// A process in new namespaces, of whose files in /proc some lead there. Ends
// with this.
class Helper {
 public:
  static absl::StatusOr<std::unique_ptr<Helper>> Start() {
    auto helper = absl::WrapUnique(new Helper());
    // No handler of ours may run in the child.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int pidfd = -1;
    const int pid = clone(&Wait, helper->stack_ + kStack,
                          CLONE_NEWUSER | CLONE_NEWNET | CLONE_VM |
                              CLONE_FILES | CLONE_PIDFD | SIGCHLD,
                          const_cast<long*>(&helper->parent_), &pidfd);
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

  absl::StatusOr<UnmappedUserNamespace> Open() const {
    UnmappedUserNamespace made;
    ASSIGN_OR_RETURN(made.namespaces.user, Open("ns/user", O_RDONLY));
    ASSIGN_OR_RETURN(made.namespaces.network, Open("ns/net", O_RDONLY));
    ASSIGN_OR_RETURN(made.uid_map, Open("uid_map", O_WRONLY));
    ASSIGN_OR_RETURN(made.gid_map, Open("gid_map", O_WRONLY));
    return made;
  }

 private:
  Helper() = default;

  absl::StatusOr<UniqueFd> Open(absl::string_view file, int flags) const {
    const std::string path = absl::StrCat("/proc/", pid_, "/", file);
    UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open", path);
    return fd;
  }

  alignas(16) char stack_[kStack];
  const long parent_ = getpid();
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

absl::Status UnmappedUserNamespace::Map(const IdRange& ids) const {
  const std::string line = absl::StrCat("0 ", ids.first, " ", ids.size, "\n");
  RETURN_IF_ERROR(WriteAll(uid_map.get(), line, "uid_map"));
  return WriteAll(gid_map.get(), line, "gid_map");
}

absl::StatusOr<UnmappedUserNamespace> MakeUnmappedUserNamespace() {
  ASSIGN_OR_RETURN(const auto helper, Helper::Start());
  return helper->Open();
}

absl::StatusOr<UserNamespace> MakeUserNamespace(const IdRange& ids) {
  ASSIGN_OR_RETURN(UnmappedUserNamespace made, MakeUnmappedUserNamespace());
  RETURN_IF_ERROR(made.Map(ids));
  return std::move(made.namespaces);
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
