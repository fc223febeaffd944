// The users of the commands of image builds.
#ifndef DAEMON_BUILD_USERS_H_
#define DAEMON_BUILD_USERS_H_

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/build/build_context.h"
#include "netmesh/network.h"
#include "scheduler/replica/id_pool.h"

namespace bulwark::daemon {

// Hands out ranges of ids from the end of the replicas' pool, which those take
// from its beginning. Thread-safe.
class BuildUsers {
 public:
  // `network` must outlive this object, and this object every lease. `pool` is
  // the replicas' and may be empty: then builds have the host's users.
  BuildUsers(netmesh::Network& network, const scheduler::IdPool& pool);

  // A range that nobody else has until the lease is gone. RESOURCE_EXHAUSTED if
  // builds, or replicas, have them all.
  absl::StatusOr<engine::build::BuildUsers> Acquire();

 private:
  void Release(const netmesh::IdRange& ids);

  netmesh::Network& network_;
  scheduler::IdPool pool_;
  absl::Mutex mu_;
  std::vector<netmesh::IdRange> leased_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::daemon

#endif  // DAEMON_BUILD_USERS_H_
