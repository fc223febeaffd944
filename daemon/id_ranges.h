// The user ids that replicas get.
#ifndef DAEMON_ID_RANGES_H_
#define DAEMON_ID_RANGES_H_

#include "daemon/config.h"
#include "scheduler/replica/id_pool.h"

namespace bulwark::daemon {

// Where replicas' user ids come from; none where the host cannot do that, which
// is logged.
scheduler::IdPool FindIds(const Config& config);

}  // namespace bulwark::daemon

#endif  // DAEMON_ID_RANGES_H_
