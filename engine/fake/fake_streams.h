// The sessions and readers that FakeEngine hands out.
#ifndef ENGINE_FAKE_FAKE_STREAMS_H_
#define ENGINE_FAKE_FAKE_STREAMS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/fake/fake_engine.h"

namespace bulwark::engine {

absl::StatusOr<std::unique_ptr<ExecSession>> NewFakeExecSession(
    const FakeExecResult& result, bool terminal, Clock& clock);

absl::StatusOr<std::unique_ptr<LogReader>> NewFakeLogReader(
    std::shared_ptr<FakeEngine::Log> log, const LogOptions& options,
    Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_FAKE_STREAMS_H_
