// An engine in memory, with the port's whole behaviour and no processes: its
// containers run until they are told to exit.
#ifndef ENGINE_FAKE_FAKE_ENGINE_H_
#define ENGINE_FAKE_FAKE_ENGINE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "engine/container_access.h"
#include "engine/engine.h"
#include "engine/fake/fake_attach.h"

namespace bulwark::engine {

struct FakeExecResult {
  std::string output;  // at most 32 KiB
  std::string error;
  int code = 0;
  // If set, it closes its streams and goes on until SIGKILL, which sets this.
  std::shared_ptr<std::atomic<bool>> killed = nullptr;
};

// Thread-safe. Outlive it all: the clock. The event sink runs on the thread of
// the call that caused the event, without locks held.
class FakeEngine final : public Engine, public ContainerAccess {
 public:
  explicit FakeEngine(Clock& clock) : clock_(clock) {}

  // What tests do to containers. NOT_FOUND; FAILED_PRECONDITION if it exited.
  absl::Status Exit(absl::string_view id, int code, bool oom_killed = false);
  absl::Status LoseShim(absl::string_view id);  // exits with unknown_reason
  absl::Status Print(absl::string_view id, absl::string_view line,
                     bool is_stderr = false);
  // The limits among them are the spec's, whatever `stats` says.
  absl::Status SetStats(absl::string_view id, const ContainerStats& stats);

  // Asked before each start, without locks held: an error is the start's.
  void SetStartHook(
      std::function<absl::Status(const ContainerSpec& spec)> hook);
  // Answers every exec. Without one, each succeeds with no output.
  void SetExecHandler(
      std::function<FakeExecResult(absl::string_view id, const ExecSpec& spec)>
          handler);
  // Whether Signal(SIGTERM) ends a container (with 143), or only Kill() does.
  void SetExitOnTerm(bool exit_on_term);

  // The spec that a container was started with. NOT_FOUND.
  absl::StatusOr<ContainerSpec> SpecOf(absl::string_view id);
  // Signals a container got, oldest first.
  std::vector<int> SignalsOf(absl::string_view id);
  // Whether containers that start from now on put out what they read.
  void SetEcho(bool echo);
  // The streams of a container for those who attach. Null: no such container.
  std::shared_ptr<FakeStreams> StreamsOf(absl::string_view id);
  // Successful starts of new containers so far.
  int start_count();
  // How often Start() was called for one that is not there.
  int tried_count();

  absl::Status Recover(EventSink sink) override;
  absl::StatusOr<ContainerInfo> Start(const ContainerSpec& spec) override;
  absl::Status Signal(absl::string_view id, int signal) override;
  absl::Status Kill(absl::string_view id) override;
  absl::Status Remove(absl::string_view id) override;
  // Refuses a memory limit below SetStats()' memory_bytes.
  absl::Status Update(absl::string_view id,
                      const Resources& resources) override;
  absl::StatusOr<ContainerInfo> Inspect(absl::string_view id) override;
  std::vector<ContainerInfo> List() override;
  absl::StatusOr<ContainerStats> Stats(absl::string_view id) override;
  absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, const ExecSpec& spec) override;
  absl::StatusOr<std::unique_ptr<LogReader>> Logs(
      absl::string_view id, const LogOptions& options) override;

  // fake_access.cc
  absl::StatusOr<std::unique_ptr<AttachSession>> Attach(
      absl::string_view id, const AttachOptions& options) override;
  absl::StatusOr<std::vector<ContainerProcess>> Processes(
      absl::string_view id) override;
  absl::Status SetPaused(absl::string_view id, bool paused) override;
  absl::StatusOr<std::unique_ptr<Standstill>> HoldStill(
      absl::string_view id) override;

  // One container's log, shared with its readers.
  struct Log {
    absl::Mutex mu;
    std::vector<LogEntry> entries ABSL_GUARDED_BY(mu);
    bool closed ABSL_GUARDED_BY(mu) = false;
  };

 private:
  struct Container {
    ContainerSpec spec;
    ContainerInfo info;
    ContainerStats stats;
    std::vector<int> signals;
    std::shared_ptr<Log> log = std::make_shared<Log>();
    std::shared_ptr<FakeStreams> streams;
    bool pause_stays = false;  // SetPaused()
    int holds = 0;             // of HoldStill()
  };
  class FakeStandstill;
  void EndStandstill(const std::string& id);

  absl::StatusOr<Container*> Find(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Container*> FindRunning(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Finish(absl::string_view id, const ExitInfo& exit);

  Clock& clock_;
  absl::Mutex mu_;
  EventSink sink_ ABSL_GUARDED_BY(mu_);
  std::function<absl::Status(const ContainerSpec&)> start_hook_
      ABSL_GUARDED_BY(mu_);
  std::function<FakeExecResult(absl::string_view, const ExecSpec&)>
      exec_handler_ ABSL_GUARDED_BY(mu_);
  bool exit_on_term_ ABSL_GUARDED_BY(mu_) = true;
  bool echo_ ABSL_GUARDED_BY(mu_) = false;
  int next_pid_ ABSL_GUARDED_BY(mu_) = 1000;
  int start_count_ ABSL_GUARDED_BY(mu_) = 0;
  int tried_count_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, Container> containers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_FAKE_ENGINE_H_
