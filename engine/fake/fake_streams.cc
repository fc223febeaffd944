#include "engine/fake/fake_streams.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::engine {
namespace {

constexpr size_t kMaxOutput = 32 << 10;  // fits a pipe

// A pipe's read end with `text` in it, at whose end it is closed.
absl::StatusOr<UniqueFd> Filled(absl::string_view text) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  text = text.substr(0, kMaxOutput);
  if (write(writer.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoStatus("write", "pipe");
  }
  return reader;
}

class FakeExecSession final : public ExecSession {
 public:
  FakeExecSession(UniqueFd input, UniqueFd output, UniqueFd error,
                  const FakeExecResult& result, bool terminal, Clock& clock)
      : input_(std::move(input)),
        output_(std::move(output)),
        error_(std::move(error)),
        code_(result.code),
        killed_(result.killed),
        terminal_(terminal),
        clock_(clock) {}

  int input() override { return terminal_ ? output_.get() : input_.get(); }
  int output() override { return output_.get(); }
  int error() override { return error_.get(); }
  void CloseInput() override { input_.Reset(); }
  absl::Status Resize(int rows, int columns) override {
    return terminal_ ? absl::OkStatus()
                     : absl::FailedPreconditionError(
                           "resize terminal: the process has none");
  }
  absl::Status Signal(int signal) override {
    if (signal == SIGKILL && killed_ != nullptr) *killed_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<int> Wait() override {
    return WaitFor(absl::InfiniteDuration());
  }
  absl::StatusOr<int> WaitFor(absl::Duration timeout) override {
    if (killed_ == nullptr) return code_;
    const absl::Duration end = clock_.Steady() + timeout;
    while (!*killed_) {
      if (clock_.Steady() >= end) {
        return absl::DeadlineExceededError("wait for process: it runs");
      }
      clock_.Sleep(absl::Milliseconds(1));
    }
    return 128 + SIGKILL;
  }

 private:
  UniqueFd input_, output_, error_;
  const int code_;
  const std::shared_ptr<std::atomic<bool>> killed_;
  const bool terminal_;
  Clock& clock_;
};

class FakeLogReader final : public LogReader {
 public:
  FakeLogReader(std::shared_ptr<FakeEngine::Log> log, const LogOptions& options,
                Clock& clock)
      : log_(std::move(log)), options_(options), clock_(clock) {
    absl::MutexLock lock(&log_->mu);
    const int64_t size = static_cast<int64_t>(log_->entries.size());
    if (options_.tail >= 0) {
      int64_t end = 0;  // of those that count
      while (end < size && log_->entries[end].time < options_.until) ++end;
      next_ = static_cast<size_t>(std::max<int64_t>(0, end - options_.tail));
    }
  }

  absl::StatusOr<LogEntry> Next(absl::Duration timeout) override {
    const absl::Duration deadline = clock_.Steady() + timeout;
    absl::MutexLock lock(&log_->mu);
    for (;;) {
      if (cancelled_) return absl::CancelledError("read log: cancelled");
      while (next_ < log_->entries.size()) {
        const LogEntry& entry = log_->entries[next_++];
        if (entry.time >= options_.until) {
          return absl::OutOfRangeError("read log: end");
        }
        if (entry.time >= options_.since) return entry;
      }
      if (!options_.follow || log_->closed || clock_.Now() >= options_.until) {
        return absl::OutOfRangeError("read log: end");
      }
      if (!clock_.AwaitUntil(log_->mu,
                             absl::Condition(this, &FakeLogReader::HasNews),
                             deadline)) {
        return absl::DeadlineExceededError("read log: nothing new");
      }
    }
  }

  void Cancel() override {
    absl::MutexLock lock(&log_->mu);
    cancelled_ = true;
  }

 private:
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(log_->mu) {
    return cancelled_ || log_->closed || next_ < log_->entries.size();
  }

  const std::shared_ptr<FakeEngine::Log> log_;
  const LogOptions options_;
  Clock& clock_;
  size_t next_ = 0;
  bool cancelled_ = false;  // guarded by log_->mu
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExecSession>> NewFakeExecSession(
    const FakeExecResult& result, bool terminal, Clock& clock) {
  UniqueFd input(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!input.ok()) return ErrnoStatus("open", "/dev/null");
  ASSIGN_OR_RETURN(UniqueFd output, Filled(result.output));
  UniqueFd error;
  if (!terminal) {
    ASSIGN_OR_RETURN(error, Filled(result.error));
  }
  return std::make_unique<FakeExecSession>(std::move(input), std::move(output),
                                           std::move(error), result, terminal,
                                           clock);
}

absl::StatusOr<std::unique_ptr<LogReader>> NewFakeLogReader(
    std::shared_ptr<FakeEngine::Log> log, const LogOptions& options,
    Clock& clock) {
  return std::make_unique<FakeLogReader>(std::move(log), options, clock);
}

}  // namespace bulwark::engine
