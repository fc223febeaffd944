// What main() of bulwarkd does.
#ifndef DAEMON_RUN_H_
#define DAEMON_RUN_H_

#include "store/rocks/rocks_options.h"

namespace bulwark::daemon {

// Serves until SIGTERM or SIGINT, or does the one thing that the command line
// asks for; returns the exit status. `store` is for tests: the environment to
// keep the store in; its path is set here.
int Run(int argc, char** argv, store::RocksOptions store = {});

}  // namespace bulwark::daemon

#endif  // DAEMON_RUN_H_
