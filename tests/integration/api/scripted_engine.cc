#include "tests/integration/api/scripted_engine.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"

extern char** environ;

namespace bulwark::api {

class ScriptedReader final : public engine::LogReader {
 public:
  ScriptedReader(ScriptedEngine& engine, std::string id,
                 engine::LogOptions options)
      : engine_(engine), id_(std::move(id)), options_(options) {
    absl::MutexLock lock(&engine_.mu_);
    ++engine_.readers_;
    const size_t count = engine_.logs_[id_].entries.size();
    if (options_.tail >= 0 && static_cast<size_t>(options_.tail) < count) {
      next_ = count - options_.tail;
    }
  }
  ~ScriptedReader() override {
    absl::MutexLock lock(&engine_.mu_);
    --engine_.readers_;
  }

  absl::StatusOr<engine::LogEntry> Next(absl::Duration timeout) override {
    absl::MutexLock lock(&engine_.mu_);
    const auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      ScriptedEngine::Log& log = engine_.logs_[id_];
      while (next_ < log.entries.size() &&
             log.entries[next_].time < options_.since) {
        ++next_;
      }
      return next_ < log.entries.size() || log.exited || cancelled_;
    };
    const auto is_over = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      const auto& entries = engine_.logs_[id_].entries;
      return next_ < entries.size() ? entries[next_].time >= options_.until
                                    : absl::Now() >= options_.until;
    };
    ready();
    if (is_over()) return absl::OutOfRangeError("read log: end");
    if (options_.follow &&
        !engine_.mu_.AwaitWithTimeout(absl::Condition(&ready), timeout)) {
      return absl::DeadlineExceededError("no line");
    }
    ready();
    if (cancelled_) return absl::CancelledError("cancelled");
    const auto& entries = engine_.logs_[id_].entries;
    if (next_ >= entries.size()) return absl::OutOfRangeError("end");
    return entries[next_++];
  }

  void Cancel() override { cancelled_ = true; }

 private:
  ScriptedEngine& engine_;
  const std::string id_;
  const engine::LogOptions options_;
  size_t next_ = 0;
  std::atomic<bool> cancelled_{false};
};

class ProcessSession final : public engine::ExecSession {
 public:
  ProcessSession(ScriptedEngine& engine, pid_t pid, UniqueFd input,
                 UniqueFd output, UniqueFd error)
      : engine_(engine),
        pid_(pid),
        input_(std::move(input)),
        output_(std::move(output)),
        error_(std::move(error)) {
    absl::MutexLock lock(&engine_.mu_);
    ++engine_.sessions_;
  }
  ~ProcessSession() override {
    if (!waited_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    absl::MutexLock lock(&engine_.mu_);
    --engine_.sessions_;
  }

  int input() override { return input_.get(); }
  int output() override { return output_.get(); }
  int error() override { return error_.get(); }
  void CloseInput() override { input_.Reset(); }
  absl::Status Resize(int rows, int columns) override {
    absl::MutexLock lock(&engine_.mu_);
    engine_.size_ = {rows, columns};
    return absl::OkStatus();
  }
  absl::Status Signal(int signal) override {
    {
      absl::MutexLock lock(&engine_.mu_);
      engine_.signals_.push_back(signal);
    }
    return kill(pid_, signal) == 0 ? absl::OkStatus()
                                   : ErrnoStatus("signal", "process");
  }
  absl::StatusOr<int> Wait() override { return Reap(0); }
  absl::StatusOr<int> WaitFor(absl::Duration timeout) override {
    if (!engine_.can_wait_for) return ExecSession::WaitFor(timeout);
    return Reap(WNOHANG);
  }

 private:
  absl::StatusOr<int> Reap(int flags) {
    int status = 0;
    const pid_t pid = waitpid(pid_, &status, flags);
    if (pid < 0) return ErrnoStatus("wait for", "process");
    if (pid == 0) return absl::DeadlineExceededError("it runs");
    waited_ = true;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  ScriptedEngine& engine_;
  const pid_t pid_;
  UniqueFd input_, output_, error_;
  std::atomic<bool> waited_{false};
};

void ScriptedEngine::Write(const std::string& id, engine::LogEntry entry) {
  absl::MutexLock lock(&mu_);
  logs_[id].entries.push_back(std::move(entry));
}

void ScriptedEngine::Exit(const std::string& id) {
  absl::MutexLock lock(&mu_);
  logs_[id].exited = true;
}

int ScriptedEngine::open_readers() const {
  absl::MutexLock lock(&mu_);
  return readers_;
}

int ScriptedEngine::open_sessions() const {
  absl::MutexLock lock(&mu_);
  return sessions_;
}

engine::ExecSpec ScriptedEngine::last_exec() const {
  absl::MutexLock lock(&mu_);
  return last_exec_;
}

std::vector<int> ScriptedEngine::signals() const {
  absl::MutexLock lock(&mu_);
  return signals_;
}

std::pair<int, int> ScriptedEngine::last_size() const {
  absl::MutexLock lock(&mu_);
  return size_;
}

absl::StatusOr<std::unique_ptr<engine::LogReader>> ScriptedEngine::Logs(
    absl::string_view id, const engine::LogOptions& options) {
  {
    absl::MutexLock lock(&mu_);
    if (logs_.find(id) == logs_.end()) {
      return absl::NotFoundError(absl::StrCat("read log of ", id));
    }
  }
  return std::make_unique<ScriptedReader>(*this, std::string(id), options);
}

absl::StatusOr<std::unique_ptr<engine::ExecSession>> ScriptedEngine::Exec(
    absl::string_view, const engine::ExecSpec& spec) {
  {
    absl::MutexLock lock(&mu_);
    last_exec_ = spec;
  }
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
      pipe2(err, O_CLOEXEC) != 0) {
    return ErrnoStatus("make", "pipes");
  }
  UniqueFd child_in(in[0]), child_out(out[1]), child_err(err[1]);
  UniqueFd input(in[1]), output(out[0]), error(err[0]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_in.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, child_out.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, child_err.get(), 2);
  std::vector<char*> args;
  for (const std::string& arg : spec.args) {
    args.push_back(const_cast<char*>(arg.c_str()));
  }
  args.push_back(nullptr);
  pid_t pid = 0;
  const int failed =
      posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return ErrnoStatus(failed, "run", spec.args[0]);
  return std::make_unique<ProcessSession>(*this, pid, std::move(input),
                                          std::move(output), std::move(error));
}

}  // namespace bulwark::api
