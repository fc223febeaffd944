// Reads a container's log; see docs/formats/log-format.md.
#ifndef ENGINE_LOCAL_LOG_READER_H_
#define ENGINE_LOCAL_LOG_READER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace bulwark::engine {

// One line of a log file, without its newline. DATA_LOSS if it is not one.
absl::StatusOr<LogEntry> ParseLogLine(absl::string_view line);

// Opens the log in `directory`. `has_exited` tells whether the container is
// done writing; it is called from Next(). `clock` outlives the reader.
absl::StatusOr<std::unique_ptr<LogReader>> OpenLog(
    const std::string& directory, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOG_READER_H_
