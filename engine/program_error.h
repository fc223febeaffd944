// Programs that could not be executed, told apart as shells do.
#ifndef ENGINE_PROGRAM_ERROR_H_
#define ENGINE_PROGRAM_ERROR_H_

#include <optional>

#include "absl/status/status.h"

namespace bulwark::engine {

// The exit statuses of POSIX shells for a command that was not started.
inline constexpr int kProgramCannotRun = 126;  // found, but no program
inline constexpr int kProgramNotFound = 127;

// `status` with the exit status that a shell would give.
absl::Status WithProgramError(absl::Status status, int exit_status);

// What WithProgramError() put in; nothing for other errors. Annotate() keeps
// it.
std::optional<int> ProgramErrorOf(const absl::Status& status);

}  // namespace bulwark::engine

#endif  // ENGINE_PROGRAM_ERROR_H_
