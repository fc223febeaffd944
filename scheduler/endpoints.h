// What the data plane knows of a replica, as the replica controller asks it.
#ifndef SCHEDULER_ENDPOINTS_H_
#define SCHEDULER_ENDPOINTS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace bulwark::scheduler {

// Thread-safe; never blocks on the data plane.
class Endpoints {
 public:
  virtual ~Endpoints() = default;

  // The data plane has acknowledged a configuration in which this replica gets
  // no new connection (or never had one in which it got any).
  virtual bool IsOut(absl::string_view replica_uid) const = 0;

  // Established connections to the replica, as last sampled (at most 1 s ago
  // while it drains); -1: not known yet.
  virtual int64_t ActiveConnections(absl::string_view replica_uid) const = 0;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ENDPOINTS_H_
