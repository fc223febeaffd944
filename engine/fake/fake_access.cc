// FakeEngine's ContainerAccess.
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
    if (container->info.paused == paused) return absl::OkStatus();
    container->info.paused = paused;
    sink = sink_;
  }
  if (sink) sink(id);
  return absl::OkStatus();
}

}  // namespace bulwark::engine
