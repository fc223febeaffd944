#include "base/log.h"
#include "base/status.h"
#include "lb/tcp/engine.h"

namespace bulwark::lb {

absl::StatusOr<std::unique_ptr<EventEngine>> MakeEngine(EngineKind kind,
                                                        EngineEvents& events) {
  if (kind == EngineKind::kEpoll) return MakeEpollEngine(events);
  auto engine = MakeUringEngine(events);
  if (engine.ok() || kind == EngineKind::kIoUring) return engine;
  LOG_INFO("io_uring is not to be had; epoll serves",
           {{"reason", engine.status()}});
  return MakeEpollEngine(events);
}

}  // namespace bulwark::lb
