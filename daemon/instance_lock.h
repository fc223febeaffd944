// Who runs an instance.
#ifndef DAEMON_INSTANCE_LOCK_H_
#define DAEMON_INSTANCE_LOCK_H_

#include <utility>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "daemon/config.h"

namespace bulwark::daemon {

// The right to everything that stands in the kernel under an instance's name,
// and to a runtime directory. The store's own lock guards the state directory;
// but a second daemon with other directories would take the first one's
// containers for leftovers. The kernel's locks: they go with the process,
// however that ends. A value that can be moved.
class InstanceLock {
 public:
  // Makes the runtime directory and the instance's control groups if they are
  // missing. FAILED_PRECONDITION, with what to do, if another process has one
  // of the two.
  static absl::StatusOr<InstanceLock> Take(const Config& config, Clock& clock);

 private:
  InstanceLock(UniqueFd runtime, UniqueFd kernel)
      : runtime_(std::move(runtime)), kernel_(std::move(kernel)) {}

  UniqueFd runtime_;
  UniqueFd kernel_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_INSTANCE_LOCK_H_
