#include "engine/launch/spawn.h"

#include <linux/errno.h>
#include <linux/futex.h>

#include "engine/child/sys.h"

namespace bulwark::engine {

using child::Arg;
using child::Sys;

namespace {

constexpr int kLifted = 200;       // above every target
constexpr int kDupCloexec = 1030;  // F_DUPFD_CLOEXEC
constexpr int kSigSetmask = 2;     // SIG_SETMASK
constexpr uint64_t kSigchld = 17;

int Execute(BackgroundSpawn* spawn) {
  // Lift all first: a target may be the number of another source.
  const long program = Sys(__NR_fcntl, spawn->program, kDupCloexec, kLifted);
  if (program < 0) return static_cast<int>(program);
  for (size_t i = 0; i < spawn->fd_count; ++i) {
    const long lifted =
        Sys(__NR_fcntl, spawn->fds[i].from, kDupCloexec, kLifted);
    if (lifted < 0) return static_cast<int>(lifted);
    spawn->fds[i].from = static_cast<int>(lifted);
  }
  for (size_t i = 0; i < spawn->fd_count; ++i) {
    const long result = Sys(__NR_dup2, spawn->fds[i].from, spawn->fds[i].to);
    if (result < 0) return static_cast<int>(result);
  }
  return static_cast<int>(Sys(__NR_execveat, program, Arg(""), Arg(spawn->args),
                              Arg(spawn->env), AT_EMPTY_PATH));
}

int ChildMain(void* argument) {
  BackgroundSpawn* spawn = static_cast<BackgroundSpawn*>(argument);
  spawn->error = -Execute(spawn);
  return 127;
}

}  // namespace

int BeginSpawn(BackgroundSpawn* spawn) {
  spawn->running = 1;
  spawn->error = 0;
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID;
  args.pidfd = reinterpret_cast<uintptr_t>(&spawn->pidfd);
  args.child_tid = reinterpret_cast<uintptr_t>(&spawn->running);
  args.exit_signal = kSigchld;
  args.stack = reinterpret_cast<uintptr_t>(spawn->stack);
  args.stack_size = sizeof(spawn->stack);
  // No handler of the caller's may run in the child.
  const uint64_t all = ~uint64_t{0};
  uint64_t old = 0;
  Sys(__NR_rt_sigprocmask, kSigSetmask, Arg(&all), Arg(&old), sizeof(all));
  const long pid = child::CloneOnStack(&args, &ChildMain, spawn);
  Sys(__NR_rt_sigprocmask, kSigSetmask, Arg(&old), 0, sizeof(old));
  if (pid < 0) {
    spawn->running = 0;
    return static_cast<int>(pid);
  }
  spawn->pid = static_cast<int>(pid);
  return 0;
}

int AwaitSpawn(BackgroundSpawn* spawn) {
  // The kernel clears the word, and wakes, when the process gives our memory
  // up.
  while (spawn->running != 0) {
    Sys(__NR_futex, Arg(&spawn->running), FUTEX_WAIT, 1, 0);
  }
  return -spawn->error;
}

}  // namespace bulwark::engine
