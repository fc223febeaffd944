// An engine whose logs and processes a test writes by hand.
#ifndef TESTS_INTEGRATION_API_SCRIPTED_ENGINE_H_
#define TESTS_INTEGRATION_API_SCRIPTED_ENGINE_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/engine.h"

namespace bulwark::api {

// Only what the API uses: Logs() and Exec(). Everything else is
// UNIMPLEMENTED. Thread-safe.
class ScriptedEngine final : public engine::Engine {
 public:
  // Adds a line to a container's log.
  void Write(const std::string& id, engine::LogEntry entry);
  // Readers that follow end after the last line.
  void Exit(const std::string& id);
  // Readers that exist now.
  int open_readers() const;
  // Processes that exist now, and the last one's spec.
  int open_sessions() const;
  engine::ExecSpec last_exec() const;
  std::vector<int> signals() const;
  std::pair<int, int> last_size() const;

  // Whether sessions can look for an exit without waiting.
  std::atomic<bool> can_wait_for{true};

  absl::Status Recover(engine::EventSink) override { return Unused(); }
  absl::StatusOr<engine::ContainerInfo> Start(
      const engine::ContainerSpec&) override {
    return Unused();
  }
  absl::Status Signal(absl::string_view, int) override { return Unused(); }
  absl::Status Kill(absl::string_view) override { return Unused(); }
  absl::Status Remove(absl::string_view) override { return Unused(); }
  absl::Status Update(absl::string_view, const engine::Resources&) override {
    return Unused();
  }
  absl::StatusOr<engine::ContainerInfo> Inspect(absl::string_view) override {
    return Unused();
  }
  std::vector<engine::ContainerInfo> List() override { return {}; }
  absl::StatusOr<engine::ContainerStats> Stats(absl::string_view) override {
    return Unused();
  }
  // Runs `args` of the spec as a real process of this host, in pipes.
  absl::StatusOr<std::unique_ptr<engine::ExecSession>> Exec(
      absl::string_view id, const engine::ExecSpec& spec) override;
  absl::StatusOr<std::unique_ptr<engine::LogReader>> Logs(
      absl::string_view id, const engine::LogOptions& options) override;

 private:
  friend class ScriptedReader;
  friend class ProcessSession;
  struct Log {
    std::vector<engine::LogEntry> entries;
    bool exited = false;
  };

  static absl::Status Unused() {
    return absl::UnimplementedError("not scripted");
  }

  mutable absl::Mutex mu_;
  std::map<std::string, Log, std::less<>> logs_ ABSL_GUARDED_BY(mu_);
  int readers_ ABSL_GUARDED_BY(mu_) = 0;
  int sessions_ ABSL_GUARDED_BY(mu_) = 0;
  engine::ExecSpec last_exec_ ABSL_GUARDED_BY(mu_);
  std::vector<int> signals_ ABSL_GUARDED_BY(mu_);
  std::pair<int, int> size_ ABSL_GUARDED_BY(mu_) = {0, 0};
};

}  // namespace bulwark::api

#endif  // TESTS_INTEGRATION_API_SCRIPTED_ENGINE_H_
