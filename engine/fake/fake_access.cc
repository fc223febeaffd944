// FakeEngine's ContainerAccess.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/fake/fake_engine.h"

namespace bulwark::engine {

void FakeEngine::SetEcho(bool echo) {
  absl::MutexLock lock(&mu_);
  echo_ = echo;
}

std::shared_ptr<FakeStreams> FakeEngine::StreamsOf(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  absl::StatusOr<Container*> container = Find(id);
  return container.ok() ? (*container)->streams : nullptr;
}

absl::StatusOr<std::unique_ptr<AttachSession>> FakeEngine::Attach(
    absl::string_view id, const AttachOptions& options) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const Container* container, FindRunning(id));
  return FakeStreams::Attach(container->streams, options);
}

absl::StatusOr<std::vector<ContainerProcess>> FakeEngine::Processes(
    absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const Container* container, FindRunning(id));
  ContainerProcess process;
  process.pid = container->info.pid;
  process.container_pid = 1;
  process.user = "root";
  process.state = 'S';
  process.start_time = container->info.start_time;
  process.command = container->spec.args;
  return std::vector<ContainerProcess>{process};
}

absl::Status FakeEngine::SetPaused(absl::string_view id, bool paused) {
  EventSink sink;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(Container * container, FindRunning(id));
    if (container->pause_stays == paused) return absl::OkStatus();
    container->pause_stays = paused;
    container->info.paused = paused || container->holds > 0;
    sink = sink_;
  }
  if (sink) sink(id);
  return absl::OkStatus();
}

class FakeEngine::FakeStandstill final : public Standstill {
 public:
  FakeStandstill(FakeEngine& engine, std::string id)
      : engine_(engine), id_(std::move(id)) {}
  ~FakeStandstill() override { End().IgnoreError(); }

  absl::Status End() override {
    if (!std::exchange(ended_, true)) engine_.EndStandstill(id_);
    return absl::OkStatus();
  }

 private:
  FakeEngine& engine_;
  const std::string id_;
  bool ended_ = false;
};

absl::StatusOr<std::unique_ptr<Standstill>> FakeEngine::HoldStill(
    absl::string_view id) {
  EventSink sink;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(Container * container, FindRunning(id));
    ++container->holds;
    container->info.paused = true;
    sink = sink_;
  }
  if (sink) sink(id);
  return std::make_unique<FakeStandstill>(*this, std::string(id));
}

void FakeEngine::EndStandstill(const std::string& id) {
  EventSink sink;
  {
    absl::MutexLock lock(&mu_);
    // A Recover() may have ended it already.
    absl::StatusOr<Container*> container = FindRunning(id);
    if (!container.ok() || (*container)->holds == 0) return;
    --(*container)->holds;
    (*container)->info.paused =
        (*container)->pause_stays || (*container)->holds > 0;
    sink = sink_;
  }
  if (sink) sink(id);
}

}  // namespace bulwark::engine
