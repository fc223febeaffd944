// Shims that do not record the exit of their container's first process.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/local/local_engine.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

// How long a shim may take to record an exit before it counts as hung.
constexpr absl::Duration kBudget = absl::Seconds(2);
// One that is at work all the time (the last output, a slow disk) is waited for
// this many times as long: with it goes the exit status.
constexpr int kPatience = 8;

// The state in /proc/PID/stat, after a name in brackets that may hold anything.
char StateOf(int pid) {
  const std::string text =
      os::ReadFile(absl::StrCat("/proc/", pid, "/stat"), 4096).value_or("");
  const size_t at = text.rfind(')');
  return at == std::string::npos || at + 2 >= text.size() ? 0 : text[at + 2];
}

bool IsAtWork(int pid) {
  const char state = StateOf(pid);
  return state == 'R' || state == 'D';
}

}  // namespace

absl::Status LocalEngine::WatchInit(const ContainerPtr& container) {
  const auto ended = [this, container] {
    watcher_->After(kBudget, [this, container] { Urge(container, 0); });
  };
  absl::MutexLock lock(&container->mu);
  if (container->Exited()) return absl::OkStatus();
  if (container->init_pidfd.ok()) {
    return watcher_->Add(container->init_pidfd.get(), ended);
  }
  ended();  // before we came, and it was reaped
  return absl::OkStatus();
}

// First it is told to go on, in case that somebody stopped it; then it is
// killed, which tells us that nobody knows the exit status.
void LocalEngine::Urge(const ContainerPtr& container, int attempt) {
  const std::string& id = container->record.id;
  absl::MutexLock lock(&container->mu);
  if (container->Exited() || !container->shim_pidfd.ok()) return;
  const absl::StatusOr<StateRecord> state = ReadState(launcher_->Dirs(id));
  const int shim = container->shim_pidfd.get();
  if (attempt == 0) {
    LOG_WARN("shim is late to record an exit, telling it to go on",
             {{"id", id}});
    os::SendSignal(shim, SIGCONT).IgnoreError();
  } else if (attempt >= kPatience || !state.ok() ||
             !IsAtWork(state->shim.pid)) {
    LOG_WARN("shim hangs, killing it", {{"id", id}});
    os::SendSignal(shim, SIGKILL).IgnoreError();
    return;
  }
  watcher_->After(kBudget,
                  [this, container, attempt] { Urge(container, attempt + 1); });
}

}  // namespace bulwark::engine
