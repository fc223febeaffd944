// Whether bulwarkd can work with what it is told.
#ifndef DAEMON_CHECK_CONFIG_H_
#define DAEMON_CHECK_CONFIG_H_

#include "absl/status/status.h"
#include "daemon/config.h"

namespace bulwark::daemon {

// INVALID_ARGUMENT lists everything that is wrong, a fault a line, as "--FLAG:
// what; what to do", or as "FILE:LINE:COLUMN: SETTING: …" for what the file
// says. Looks at the host (programs, groups), and changes nothing. `config` is
// complete.
absl::Status CheckConfig(const Config& config);

}  // namespace bulwark::daemon

#endif  // DAEMON_CHECK_CONFIG_H_
