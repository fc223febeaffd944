// Where the commands of image builds reach the network.
#ifndef DAEMON_BUILD_NETWORKS_H_
#define DAEMON_BUILD_NETWORKS_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/entropy.h"
#include "engine/build/build_context.h"
#include "netmesh/network.h"

namespace bulwark::daemon {

// One bridge for all builds, apart from the services' networks, and on it a
// sandbox for each build that runs a command. Thread-safe.
class BuildNetworks {
 public:
  // `network` and `entropy` must outlive this object and every lease.
  BuildNetworks(netmesh::Network& network, Entropy& entropy, std::string subnet)
      : network_(network), entropy_(entropy), subnet_(std::move(subnet)) {}

  // Makes the bridge, and removes the sandboxes that a crash left.
  absl::Status Open();

  // Where its containers ask for names; none unless Open() has worked.
  std::vector<std::string> DnsAddresses() const;

  // A sandbox of these users that goes with the lease. RESOURCE_EXHAUSTED if
  // every address is taken; what Open() said if it failed.
  absl::StatusOr<engine::build::BuildNetwork> Acquire(
      const engine::IdRange& ids);

 private:
  void Release(const std::string& sandbox);

  netmesh::Network& network_;
  Entropy& entropy_;
  const std::string subnet_;
  absl::Status opened_ = absl::FailedPreconditionError("not open");
  std::string gateway_;
  absl::Mutex mu_;  // from the choice of an address to its use
};

}  // namespace bulwark::daemon

#endif  // DAEMON_BUILD_NETWORKS_H_
