// Port of the data plane as the control plane sees it.
#ifndef LB_PROXY_H_
#define LB_PROXY_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::lb {

// Thread-safe. Calls block until the data plane answered; a data plane that is
// restarting is waited for, up to the call's timeout (UNAVAILABLE then).
class Proxy {
 public:
  virtual ~Proxy() = default;

  // Starts keeper and proxy unless they run already (they outlive us).
  virtual absl::Status Start() = 0;

  // Makes `snapshot` the configuration. On return it is in force. The answer
  // lists listeners that could not be opened. FAILED_PRECONDITION if its
  // version is not above the current one's.
  virtual absl::StatusOr<dataplane::v1::Applied> Apply(
      const dataplane::v1::Snapshot& snapshot, absl::Duration timeout) = 0;

  virtual absl::StatusOr<dataplane::v1::Stats> Stats(
      absl::Duration timeout) = 0;

  // What was put in force last, as the data plane keeps it for its own next
  // start, whether it runs or not: version 0 if nothing was. DATA_LOSS if it
  // cannot be read.
  virtual absl::StatusOr<dataplane::v1::Snapshot> LastApplied() = 0;

  // Ends keeper and proxy: every listener closes. For the removal of an
  // installation, never for a restart.
  virtual absl::Status Shutdown() = 0;
};

}  // namespace bulwark::lb

#endif  // LB_PROXY_H_
