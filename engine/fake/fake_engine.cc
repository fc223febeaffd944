#include "engine/fake/fake_engine.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/fake/fake_streams.h"

namespace bulwark::engine {
namespace {

bool GoodId(absl::string_view id) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  if (id.empty() || id.size() > 64 || !alphanumeric(id[0])) return false;
  for (char c : id) {
    if (!alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

absl::Status Exited(absl::string_view id) {
  return absl::FailedPreconditionError(
      absl::StrCat("reach container ", id, ": it has exited"));
}

}  // namespace

absl::StatusOr<FakeEngine::Container*> FakeEngine::Find(absl::string_view id) {
  const auto it = containers_.find(std::string(id));
  if (it == containers_.end()) {
    return absl::NotFoundError(
        absl::StrCat("find container ", id, ": unknown"));
  }
  return &it->second;
}

absl::StatusOr<FakeEngine::Container*> FakeEngine::FindRunning(
    absl::string_view id) {
  ASSIGN_OR_RETURN(Container * container, Find(id));
  if (container->info.state == ContainerState::kExited) return Exited(id);
  return container;
}

absl::Status FakeEngine::Finish(absl::string_view id, const ExitInfo& exit) {
  EventSink sink;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(Container * container, FindRunning(id));
    container->info.state = ContainerState::kExited;
    container->info.exit = exit;
    container->info.exit.finish_time = clock_.Now();
    absl::MutexLock log_lock(&container->log->mu);
    container->log->closed = true;
    container->info.paused = container->pause_stays = false;
    container->streams->Close();
    sink = sink_;
  }
  if (sink) sink(id);
  return absl::OkStatus();
}

absl::Status FakeEngine::Exit(absl::string_view id, int code, bool oom_killed) {
  ExitInfo exit;
  exit.code = code;
  exit.oom_killed = oom_killed;
  return Finish(id, exit);
}

absl::Status FakeEngine::LoseShim(absl::string_view id) {
  ExitInfo exit;
  exit.code = 255;
  exit.unknown_reason = "its shim was killed";
  return Finish(id, exit);
}

absl::Status FakeEngine::Print(absl::string_view id, absl::string_view line,
                               bool is_stderr) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, FindRunning(id));
  absl::MutexLock log_lock(&container->log->mu);
  container->log->entries.push_back(
      {clock_.Now(), is_stderr, std::string(line), false});
  container->streams->Print(absl::StrCat(line, "\n"), is_stderr);
  return absl::OkStatus();
}

absl::Status FakeEngine::SetStats(absl::string_view id,
                                  const ContainerStats& stats) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, Find(id));
  container->stats = stats;
  return absl::OkStatus();
}

void FakeEngine::SetStartHook(
    std::function<absl::Status(const ContainerSpec& spec)> hook) {
  absl::MutexLock lock(&mu_);
  start_hook_ = std::move(hook);
}

void FakeEngine::SetExecHandler(
    std::function<FakeExecResult(absl::string_view id, const ExecSpec& spec)>
        handler) {
  absl::MutexLock lock(&mu_);
  exec_handler_ = std::move(handler);
}

void FakeEngine::SetExitOnTerm(bool exit_on_term) {
  absl::MutexLock lock(&mu_);
  exit_on_term_ = exit_on_term;
}

absl::StatusOr<ContainerSpec> FakeEngine::SpecOf(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, Find(id));
  return container->spec;
}

std::vector<int> FakeEngine::SignalsOf(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  absl::StatusOr<Container*> container = Find(id);
  return container.ok() ? (*container)->signals : std::vector<int>();
}

int FakeEngine::tried_count() {
  absl::MutexLock lock(&mu_);
  return tried_count_;
}

int FakeEngine::start_count() {
  absl::MutexLock lock(&mu_);
  return start_count_;
}

absl::Status FakeEngine::Recover(EventSink sink) {
  absl::MutexLock lock(&mu_);
  sink_ = std::move(sink);
  // What a standstill held goes on with the end of who held it.
  for (auto& [id, container] : containers_) {
    container.holds = 0;
    container.info.paused = container.pause_stays;
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerInfo> FakeEngine::Start(const ContainerSpec& spec) {
  if (!GoodId(spec.id) || spec.args.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("start container ", spec.id, ": id or args"));
  }
  std::function<absl::Status(const ContainerSpec&)> hook;
  {
    absl::MutexLock lock(&mu_);
    const auto it = containers_.find(spec.id);
    if (it != containers_.end()) return it->second.info;
    ++tried_count_;
    hook = start_hook_;
  }
  if (spec.await_program) {
    RETURN_IF_ERROR_CTX(spec.await_program(),
                        absl::StrCat("start container ", spec.id));
  }
  if (hook) {
    RETURN_IF_ERROR_CTX(hook(spec), absl::StrCat("start container ", spec.id));
  }
  absl::MutexLock lock(&mu_);
  const auto [it, is_new] = containers_.try_emplace(spec.id);
  Container& container = it->second;
  if (!is_new) return container.info;
  ++start_count_;
  container.streams = std::make_shared<FakeStreams>(
      spec.terminal, spec.terminal || spec.open_stdin, echo_);
  container.spec = spec;
  container.spec.await_program = nullptr;
  container.info.id = spec.id;
  container.info.labels = spec.labels;
  container.info.log_path = HasLogFiles(spec.log) ? "/fake/" + spec.id : "";
  container.info.pid = next_pid_++;
  container.info.start_ticks = static_cast<uint64_t>(container.info.pid) * 10;
  container.info.start_time = clock_.Now();
  container.info.resources = spec.resources;
  container.info.ids = spec.ids;
  container.stats.pids = 1;
  return container.info;
}

absl::Status FakeEngine::Signal(absl::string_view id, int signal) {
  if (signal <= 0 || signal > 64) {
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(Find(id).status());
    return absl::InvalidArgumentError(absl::StrCat(
        "signal container ", id, ": ", signal, " is not a signal"));
  }
  bool ends = false;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(Container * container, FindRunning(id));
    container->signals.push_back(signal);
    container->pause_stays = false;
    container->info.paused = container->holds > 0;
    ends = signal == SIGKILL || (signal == SIGTERM && exit_on_term_);
  }
  if (!ends) return absl::OkStatus();
  ExitInfo exit;
  exit.signal = signal;
  exit.code = 128 + signal;
  return Finish(id, exit);
}

absl::Status FakeEngine::Kill(absl::string_view id) {
  ExitInfo exit;
  exit.signal = SIGKILL;
  exit.code = 128 + SIGKILL;
  const absl::Status status = Finish(id, exit);
  return absl::IsFailedPrecondition(status) ? absl::OkStatus() : status;
}

absl::Status FakeEngine::Remove(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  absl::StatusOr<Container*> container = Find(id);
  if (!container.ok()) return absl::OkStatus();
  if ((*container)->info.state != ContainerState::kExited) {
    return absl::FailedPreconditionError(
        absl::StrCat("remove container ", id, ": it is running"));
  }
  containers_.erase(std::string(id));
  return absl::OkStatus();
}

absl::Status FakeEngine::Update(absl::string_view id,
                                const Resources& resources) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, FindRunning(id));
  if (resources.memory_limit_bytes > 0 &&
      container->stats.memory_bytes > resources.memory_limit_bytes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "update container ", id, ": ", container->stats.memory_bytes,
        " bytes are in use, and the new limit is ",
        resources.memory_limit_bytes));
  }
  container->spec.resources = resources;
  container->info.resources = resources;
  return absl::OkStatus();
}

absl::StatusOr<ContainerInfo> FakeEngine::Inspect(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, Find(id));
  return container->info;
}

std::vector<ContainerInfo> FakeEngine::List() {
  absl::MutexLock lock(&mu_);
  std::vector<ContainerInfo> infos;
  for (const auto& [id, container] : containers_) {
    infos.push_back(container.info);
  }
  return infos;
}

absl::StatusOr<ContainerStats> FakeEngine::Stats(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, Find(id));
  ContainerStats stats = container->stats;
  const Resources& limits = container->spec.resources;
  stats.cpu_limit_millicores = limits.cpu_limit_millicores;
  stats.memory_limit_bytes = limits.memory_limit_bytes;
  return stats;
}

absl::StatusOr<std::unique_ptr<ExecSession>> FakeEngine::Exec(
    absl::string_view id, const ExecSpec& spec) {
  std::function<FakeExecResult(absl::string_view, const ExecSpec&)> handler;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(const Container* container, FindRunning(id));
    if (container->info.paused) {
      return absl::FailedPreconditionError(
          absl::StrCat("exec in container ", id, ": it is paused"));
    }
    handler = exec_handler_;
  }
  return NewFakeExecSession(handler ? handler(id, spec) : FakeExecResult(),
                            spec.terminal, clock_);
}

absl::StatusOr<std::unique_ptr<LogReader>> FakeEngine::Logs(
    absl::string_view id, const LogOptions& options) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Container * container, Find(id));
  if (container->spec.log.driver == LogDriver::kNone) {
    return absl::FailedPreconditionError(
        absl::StrCat("read log of ", id, ": its log driver is none"));
  }
  return NewFakeLogReader(container->log, options, clock_);
}

}  // namespace bulwark::engine
