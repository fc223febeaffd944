#include "base/status.h"
#include "lb/tcp/engine.h"

namespace bulwark::lb {

absl::StatusOr<std::unique_ptr<EventEngine>> MakeEngine(EngineKind kind,
                                                        EngineEvents& events) {
  if (kind == EngineKind::kIoUring) {
    return absl::FailedPreconditionError(
        "start io_uring engine: this build has none");
  }
  return MakeEpollEngine(events);
}

}  // namespace bulwark::lb
