// Reads a container's log; see docs/formats/log-format.md.
#ifndef ENGINE_LOCAL_LOG_READER_H_
#define ENGINE_LOCAL_LOG_READER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace bulwark::engine {

// Opens the log in `directory`. `has_exited` tells whether the container is
// done writing; it is called from Next(). `clock` outlives the reader. Files
// may be compressed, or go, while they are read: what the reader was about to
// read is then what is left. A damaged file, and files that went before they
// were read, are told of in a line of its own.
absl::StatusOr<std::unique_ptr<LogReader>> OpenLog(
    const std::string& directory, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOG_READER_H_
