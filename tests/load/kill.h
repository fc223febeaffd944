// Kills on purpose, noted for ForgiveKilled.
#ifndef TESTS_LOAD_KILL_H_
#define TESTS_LOAD_KILL_H_

#include <sys/types.h>

#include <string>

#include "base/clock.h"
#include "tests/load/load.h"

namespace bulwark::load {

// Sends SIGKILL to `pid` and waits, at most ten seconds, until the process is
// gone: its descriptors are closed then. Does not reap it. Dies with a CHECK if
// there is no such process, or it does not go.
Kill KillProcess(pid_t pid, const std::string& backend, Clock& clock);

}  // namespace bulwark::load

#endif  // TESTS_LOAD_KILL_H_
