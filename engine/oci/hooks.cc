#include "engine/oci/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/oci/config/names.h"
#include "os/process.h"

namespace bulwark::engine::oci {
namespace {

constexpr uint64_t kEntered =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNS;
constexpr size_t kKeptOutput = 2048;
constexpr int kPidfdType = 3;  // P_PIDFD

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& s : strings) {
    result.push_back(const_cast<char*>(s.c_str()));
  }
  result.push_back(nullptr);
  return result;
}

// Where the children that are made from now on are numbered. Undone by the
// destructor.
class ChildrenIn {
 public:
  // `pid` 0: where they are.
  explicit ChildrenIn(int pid) {
    if (pid == 0) return;
    const std::string path = absl::StrCat("/proc/", pid, "/ns/pid");
    const UniqueFd theirs(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ours_.Reset(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!theirs.ok() || !ours_.ok() || setns(theirs.get(), CLONE_NEWPID) != 0) {
      status_ = ErrnoStatus("enter", path);
    }
  }
  ChildrenIn(const ChildrenIn&) = delete;
  ChildrenIn& operator=(const ChildrenIn&) = delete;
  ~ChildrenIn() {
    if (ours_.ok()) setns(ours_.get(), CLONE_NEWPID);
  }

  const absl::Status& status() const { return status_; }

 private:
  UniqueFd ours_;
  absl::Status status_;
};

// The namespaces of a process, opened while /proc is ours still; that of mounts
// last, since nothing can be opened after it.
absl::StatusOr<std::vector<UniqueFd>> OpenNamespaces(int pid) {
  std::vector<UniqueFd> fds;
  for (const uint64_t type :
       {uint64_t{CLONE_NEWNET}, uint64_t{CLONE_NEWIPC}, uint64_t{CLONE_NEWUTS},
        uint64_t{CLONE_NEWCGROUP}, uint64_t{CLONE_NEWNS}}) {
    if ((kEntered & type) == 0) continue;
    const std::string path =
        absl::StrCat("/proc/", pid, "/ns/", NamespaceFile(type));
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open", path);
    fds.push_back(std::move(fd));
  }
  return fds;
}

[[noreturn]] void RunChild(const Hook& hook,
                           const std::vector<UniqueFd>& namespaces, int input,
                           int output) {
  for (const UniqueFd& ns : namespaces) {
    if (setns(ns.get(), 0) != 0) _exit(126);
  }
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) {
    _exit(126);
  }
  // Our own signals are blocked or ignored in places.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> args = Pointers(hook.args);
  std::vector<char*> env = Pointers(hook.env);
  execve(hook.path.c_str(), args.data(), env.data());
  const std::string text = absl::StrCat(
      "execute: ", ErrnoStatus(errno, "run", hook.path).message(), "\n");
  // Best effort: the exit status tells too.
  if (write(2, text.data(), text.size()) < 0) _exit(126);
  _exit(127);
}

// Feeds the state, collects what the hook says, until it closes its output or
// ends. Returns whether it did in time.
bool Talk(int pidfd, UniqueFd input, const std::string& state, int output,
          absl::Duration deadline, std::string& said) {
  RealClock clock;
  size_t sent = 0;
  for (;;) {
    const absl::Duration left = deadline - clock.Steady();
    if (left <= absl::ZeroDuration()) return false;
    pollfd polls[3] = {{pidfd, POLLIN, 0},
                       {output, POLLIN, 0},
                       {input.ok() ? input.get() : -1, POLLOUT, 0}};
    const timespec limit = absl::ToTimespec(std::min(left, absl::Hours(1)));
    if (ppoll(polls, 3, &limit, nullptr) < 0 && errno != EINTR) return false;
    if ((polls[1].revents & (POLLIN | POLLHUP)) != 0) {
      char buffer[1024];
      const ssize_t n = read(output, buffer, sizeof(buffer));
      if (n > 0) said.append(buffer, static_cast<size_t>(n));
      if (said.size() > 2 * kKeptOutput) {
        said.erase(0, said.size() - kKeptOutput);
      }
    }
    if (polls[2].revents != 0) {
      const ssize_t n =
          write(input.get(), state.data() + sent, state.size() - sent);
      if (n > 0) sent += static_cast<size_t>(n);
      // One that does not read its input is no failure.
      if ((n < 0 && errno != EAGAIN) || sent == state.size()) input.Reset();
    }
    if (polls[0].revents != 0 && (polls[1].revents & POLLIN) == 0) return true;
  }
}

absl::Status RunHook(const Hook& hook, const std::string& what,
                     const std::string& state,
                     const std::vector<UniqueFd>& namespaces) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  const UniqueFd in_read(in[0]);
  UniqueFd in_write(in[1]);
  if (pipe2(out, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  const UniqueFd out_read(out[0]);
  UniqueFd out_write(out[1]);
  if (fcntl(in_write.get(), F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus("set up", "pipe");
  }
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus("start", hook.path);
  if (pid == 0) RunChild(hook, namespaces, in_read.get(), out_write.get());
  out_write.Reset();
  // Not reaped yet: the pid is ours.
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.ok()) return ErrnoStatus("watch", hook.path);
  RealClock clock;
  const absl::Duration deadline =
      hook.timeout_seconds == 0
          ? absl::InfiniteDuration()
          : clock.Steady() + absl::Seconds(hook.timeout_seconds);
  std::string said;
  const bool in_time = Talk(pidfd.get(), std::move(in_write), state,
                            out_read.get(), deadline, said);
  if (!in_time) kill(pid, SIGKILL);
  siginfo_t info = {};
  if (waitid(static_cast<idtype_t>(kPidfdType), static_cast<id_t>(pidfd.get()),
             &info, WEXITED) != 0) {
    return ErrnoStatus("wait for", hook.path);
  }
  if (!in_time) {
    return absl::DeadlineExceededError(absl::StrCat(
        what, ": did not end within ", hook.timeout_seconds, " s"));
  }
  if (info.si_code == CLD_EXITED && info.si_status == 0) {
    return absl::OkStatus();
  }
  const absl::string_view last = absl::StripAsciiWhitespace(said);
  return absl::FailedPreconditionError(absl::StrCat(
      what,
      info.si_code == CLD_EXITED ? ": exit status " : ": killed by signal ",
      info.si_status, last.empty() ? "" : ": ",
      last.substr(last.size() > kKeptOutput ? last.size() - kKeptOutput : 0)));
}

std::string NameOf(const Hook& hook, const char* kind, size_t index) {
  return absl::StrCat("run hook ", kind, "[", index, "] ", hook.path);
}

}  // namespace

absl::Status RunHooks(const std::vector<Hook>& hooks, const char* kind,
                      const std::string& state, int pid) {
  if (hooks.empty()) return absl::OkStatus();
  std::vector<UniqueFd> namespaces;
  if (pid != 0) {
    ASSIGN_OR_RETURN(namespaces, OpenNamespaces(pid));
  }
  const ChildrenIn numbered(pid);
  RETURN_IF_ERROR(numbered.status());
  for (size_t i = 0; i < hooks.size(); ++i) {
    RETURN_IF_ERROR(
        RunHook(hooks[i], NameOf(hooks[i], kind, i), state, namespaces));
  }
  return absl::OkStatus();
}

absl::Status RunEveryHook(const std::vector<Hook>& hooks, const char* kind,
                          const std::string& state) {
  absl::Status first;
  for (size_t i = 0; i < hooks.size(); ++i) {
    first.Update(RunHook(hooks[i], NameOf(hooks[i], kind, i), state, {}));
  }
  return first;
}

}  // namespace bulwark::engine::oci
