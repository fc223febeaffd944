// A command beside what runs in a container, to its end: probes and hooks.
#ifndef ENGINE_COMMAND_H_
#define ENGINE_COMMAND_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace bulwark::engine {

struct Command {
  std::string container_id;
  std::vector<std::string> args;
  absl::Duration timeout;
  size_t max_output = 512;  // what is kept of it, in bytes
  // Asked some times a second: false ends it, with CANCELLED. May be null.
  std::function<bool()> wanted;
};

struct CommandEnd {
  int exit_code = 0;   // 128 + signal if one ended it
  std::string output;  // the beginning of both streams
};

// Blocks until the command has ended, not only closed its streams.
// DEADLINE_EXCEEDED at the timeout; it is killed then, as when it is not wanted
// any more, and its end not waited for. Other errors as Engine::Exec().
absl::StatusOr<CommandEnd> RunCommand(Engine& engine, Clock& clock,
                                      const Command& command);

}  // namespace bulwark::engine

#endif  // ENGINE_COMMAND_H_
