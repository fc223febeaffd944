// One record of a log file, in each of its formats. Pure.
#ifndef ENGINE_LOCAL_LOG_LINE_H_
#define ENGINE_LOCAL_LOG_LINE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/engine.h"

namespace bulwark::engine {

// A line without its newline, as one of docs/formats/log-format.md or as
// Docker's json-file. DATA_LOSS if it is neither.
absl::StatusOr<LogEntry> ParseLogLine(absl::string_view line);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOG_LINE_H_
