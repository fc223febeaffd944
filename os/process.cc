#include "os/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/files.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u
#endif

namespace bulwark::os {
namespace {

constexpr size_t kSpawnStack = 64 << 10;
constexpr int kLifted = 200;  // above every target descriptor
constexpr int64_t kMaxExecutable = 64 << 20;

// What the child needs, laid out by the parent: between clone and exec it may
// only make system calls.
struct SpawnPlan {
  int executable;
  char** args;
  char** env;
  std::pair<int, int>* fds;
  size_t fd_count;
  int directory;
  int death_signal;
  bool own_group;
  pid_t parent;
  int error = 0;  // written by the child
};

// Whether it may go on: its parent may be gone already.
bool FollowParent(const SpawnPlan& plan) {
  if (plan.death_signal == 0) return true;
  if (prctl(PR_SET_PDEATHSIG, plan.death_signal) != 0) return false;
  if (getppid() != plan.parent) {
    errno = ESRCH;
    return false;
  }
  constexpr uint64_t kNone = 0;
  return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kNone, nullptr,
                 sizeof(kNone)) == 0;
}

int SpawnChild(void* argument) {
  SpawnPlan* plan = static_cast<SpawnPlan*>(argument);
  // Lift all first: a target may be the number of another source.
  const int executable = fcntl(plan->executable, F_DUPFD_CLOEXEC, kLifted);
  bool good = executable >= 0;
  for (size_t i = 0; good && i < plan->fd_count; ++i) {
    plan->fds[i].first = fcntl(plan->fds[i].first, F_DUPFD_CLOEXEC, kLifted);
    good = plan->fds[i].first >= 0;
  }
  for (size_t i = 0; good && i < plan->fd_count; ++i) {
    good = dup2(plan->fds[i].first, plan->fds[i].second) >= 0;
  }
  if (good && plan->directory >= 0) good = fchdir(plan->directory) == 0;
  if (good && plan->own_group) good = setpgid(0, 0) == 0;
  if (good && FollowParent(*plan)) {
    syscall(SYS_execveat, executable, "", plan->args, plan->env, AT_EMPTY_PATH);
  }
  plan->error = errno;
  _exit(127);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& s : strings) {
    result.push_back(const_cast<char*>(s.c_str()));
  }
  result.push_back(nullptr);
  return result;
}

absl::StatusOr<UniqueFd> MemoryFile(const char* name, absl::string_view bytes,
                                    unsigned flags) {
  flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd fd(memfd_create(name, flags));
  if (!fd.ok() && errno == EINVAL) {  // before Linux 6.3
    fd.Reset(memfd_create(name, flags & ~(MFD_EXEC | MFD_NOEXEC_SEAL)));
  }
  if (!fd.ok()) return ErrnoStatus("create memory file", name);
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes, name));
  if (fcntl(fd.get(), F_ADD_SEALS,
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return ErrnoStatus("seal memory file", name);
  }
  return fd;
}

}  // namespace

absl::StatusOr<uint64_t> ParseStartTicks(absl::string_view stat) {
  // The second field is the program's name in parentheses and may hold
  // anything: count from the last one.
  const size_t name_end = stat.rfind(')');
  if (name_end != absl::string_view::npos) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(stat.substr(name_end), ' ');
    uint64_t ticks;
    if (fields.size() > 20 && absl::SimpleAtoi(fields[20], &ticks)) {
      return ticks;
    }
  }
  return absl::DataLossError("parse process status: no start time");
}

absl::StatusOr<uint64_t> ReadStartTicks(int pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  absl::StatusOr<std::string> stat = ReadFile(path, 4096);
  if (!stat.ok()) {
    // The process may end between open and read: ESRCH.
    return absl::NotFoundError(
        absl::StrCat("find process ", pid, ": ", stat.status().message()));
  }
  return ParseStartTicks(*stat);
}

absl::StatusOr<UniqueFd> OpenPidfd(const ProcessRef& ref) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, ref.pid, 0)));
  if (!fd.ok()) {
    if (errno == ESRCH || errno == EINVAL) {
      return absl::NotFoundError(
          absl::StrCat("open process ", ref.pid, ": it is gone"));
    }
    return ErrnoStatus("open process", absl::StrCat(ref.pid));
  }
  // Checked after the open: the pidfd now pins the identity.
  ASSIGN_OR_RETURN(const uint64_t ticks, ReadStartTicks(ref.pid));
  if (ticks != ref.start_ticks) {
    return absl::NotFoundError(
        absl::StrCat("open process ", ref.pid, ": the pid has another owner"));
  }
  return fd;
}

absl::Status SendSignal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) {
    return absl::OkStatus();
  }
  if (errno == ESRCH) return absl::NotFoundError("signal process: it is gone");
  return ErrnoStatus("signal process", absl::StrCat("with ", signal));
}

bool AwaitEnd(int pidfd, absl::Duration timeout) {
  pollfd poll_fd = {pidfd, POLLIN, 0};
  const bool bounded = timeout != absl::InfiniteDuration();
  const timespec limit = bounded ? absl::ToTimespec(timeout) : timespec{0, 0};
  return ppoll(&poll_fd, 1, bounded ? &limit : nullptr, nullptr) == 1;
}

void ReapChild(int pidfd) {
  siginfo_t info = {};
  waitid(static_cast<idtype_t>(P_PIDFD), pidfd, &info, WEXITED | WNOHANG);
}

absl::StatusOr<Spawned> Spawn(const SpawnOptions& options) {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.ok()) return ErrnoStatus("open", "/dev/null");
  std::vector<std::pair<int, int>> fds = {
      {null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
  fds.insert(fds.end(), options.fds.begin(), options.fds.end());
  std::vector<char*> args = Pointers(options.args);
  std::vector<char*> env = Pointers(options.env);
  std::vector<char> stack(kSpawnStack);
  SpawnPlan plan = {options.executable,   args.data(),       env.data(),
                    fds.data(),           fds.size(),        options.directory,
                    options.death_signal, options.own_group, getpid()};

  // No handler of ours may run in the child.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int pidfd = -1;
  char* top = stack.data() + stack.size();
  top -= reinterpret_cast<uintptr_t>(top) % 16;
  const int pid =
      clone(&SpawnChild, top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
            &plan, &pidfd);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (pid < 0) return ErrnoStatus(error, "start process", options.args[0]);
  Spawned spawned = {pid, UniqueFd(pidfd)};
  if (plan.error != 0) {
    // It shares our memory no longer, but may not have ended yet.
    AwaitEnd(pidfd, absl::InfiniteDuration());
    ReapChild(pidfd);
    return ErrnoStatus(plan.error, "execute", options.args[0]);
  }
  return spawned;
}

absl::StatusOr<UniqueFd> SealedCopy(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxExecutable));
  return SealedProgram(bytes);
}

absl::StatusOr<UniqueFd> SealedProgram(absl::string_view bytes) {
  return MemoryFile("bulwark", bytes, MFD_EXEC);
}

absl::StatusOr<UniqueFd> SealedBytes(const char* name,
                                     absl::string_view bytes) {
  return MemoryFile(name, bytes, MFD_NOEXEC_SEAL);
}

absl::StatusOr<std::string> BootId() {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadFile("/proc/sys/kernel/random/boot_id", 128));
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace bulwark::os
