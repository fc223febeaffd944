#include "dataplane/keeper/proxy_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace bulwark::dataplane {
namespace {

constexpr int64_t kQuickMs = 2000;
constexpr int kQuickDeathsAtOnce = 3;
constexpr int64_t kFirstPauseMs = 25;
constexpr int64_t kLongestPauseMs = 2000;
constexpr int kStopMs = 3000;

int OpenPidfd(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

int SendSignal(int pidfd, int signal) {
  return static_cast<int>(
      syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

pid_t LockHolder(int fd) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid;
}

// Runs in the child of vfork(2): system calls only.
[[noreturn]] void ExecProxy(char* const* argv, int netns) {
  if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) _exit(126);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0], argv);
  _exit(127);
}

}  // namespace

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000} + now.tv_nsec / 1'000'000;
}

bool ProxyProcess::FindSurvivor(const char* lock_path) {
  const int fd = open(lock_path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const pid_t pid = LockHolder(fd);
  const int pidfd = pid > 0 ? OpenPidfd(pid) : -1;
  // The second look makes sure that the pid was not another's by then.
  const bool found = pidfd >= 0 && LockHolder(fd) == pid;
  close(fd);
  if (!found) {
    if (pidfd >= 0) close(pidfd);
    return false;
  }
  pid_ = pid;
  pidfd_ = pidfd;
  child_ = false;
  started_ms_ = NowMs() - kQuickMs;
  dprintf(2, "keeper: adopted proxy %d\n", pid);
  return true;
}

void ProxyProcess::OnExit() {
  int status = 0;
  if (child_) waitpid(pid_, &status, 0);
  close(pidfd_);
  pidfd_ = -1;
  const int64_t now = NowMs();
  int64_t pause = 0;
  if (now - started_ms_ >= kQuickMs) {
    quick_deaths_ = 0;
  } else {
    // A few at once may be bad luck; more are a fault that a pause must bound.
    const int doublings = quick_deaths_ - kQuickDeathsAtOnce;
    if (doublings >= 0)
      pause = kFirstPauseMs << (doublings < 7 ? doublings : 7);
    if (pause > kLongestPauseMs) pause = kLongestPauseMs;
    ++quick_deaths_;
  }
  start_at_ms_ = now + pause;
  dprintf(2, "keeper: proxy %d ended (%s %d); the next starts in %d ms\n", pid_,
          WIFSIGNALED(status) ? "signal" : "code",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
          static_cast<int>(pause));
}

int ProxyProcess::WaitMs() const {
  if (pidfd_ >= 0) return -1;
  const int64_t wait = start_at_ms_ - NowMs();
  return wait > 0 ? static_cast<int>(wait) : 0;
}

void ProxyProcess::StartIfDue() {
  if (pidfd_ >= 0 || NowMs() < start_at_ms_) return;
  int netns = -1;
  started_ms_ = NowMs();
  if (netns_[0] != '\0') {
    netns = open(netns_, O_RDONLY | O_CLOEXEC);
    if (netns < 0) {
      dprintf(2, "keeper: open %s: %s\n", netns_, strerror(errno));
      start_at_ms_ = started_ms_ + kLongestPauseMs / 4;
      return;
    }
  }
  const pid_t pid = vfork();
  if (pid == 0) ExecProxy(argv_, netns);
  if (netns >= 0) close(netns);
  if (pid > 0) {
    pid_ = pid;
    child_ = true;
    pidfd_ = OpenPidfd(pid);
    if (pidfd_ >= 0) return;
    // Without a pidfd we could not notice its end.
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  dprintf(2, "keeper: start proxy: %s\n", strerror(errno));
  start_at_ms_ = started_ms_ + kLongestPauseMs / 4;
}

void ProxyProcess::Stop() {
  if (pidfd_ < 0) return;
  pollfd ended = {pidfd_, POLLIN, 0};
  SendSignal(pidfd_, SIGTERM);
  if (poll(&ended, 1, kStopMs) <= 0) {
    SendSignal(pidfd_, SIGKILL);
    poll(&ended, 1, kStopMs);
  }
  if (child_) waitpid(pid_, nullptr, 0);
  close(pidfd_);
  pidfd_ = -1;
}

}  // namespace bulwark::dataplane
