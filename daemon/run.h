// What main() of bulwarkd does.
#ifndef DAEMON_RUN_H_
#define DAEMON_RUN_H_

#include "daemon/version.h"
#include "store/rocks/rocks_options.h"

namespace bulwark::daemon {

// Serves until SIGTERM or SIGINT, or does the one thing that the command line
// asks for; returns the exit status. The rest is for tests: `store` says in
// which environment to keep the store (its path is set here), `version` what to
// say that this program is.
int Run(int argc, char** argv, store::RocksOptions store = {},
        const char* version = kVersion);

}  // namespace bulwark::daemon

#endif  // DAEMON_RUN_H_
