// Gives declared networks their subnets and bridges.
#ifndef SCHEDULER_NETWORKS_NETWORK_CONTROLLER_H_
#define SCHEDULER_NETWORKS_NETWORK_CONTROLLER_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/follow/follower.h"
#include "store/readable.h"
#include "store/store.h"

namespace bulwark::scheduler {

struct NetworkControllerOptions {
  std::string pool = "10.210.0.0/16";  // subnets of /22 are taken from it
};

// For each Network: a subnet (recorded durably before it is used), a bridge,
// and a condition Ready. A network that is being deleted goes when no service
// and no job names it any more. A project's network "default" is made when one
// needs it. Thread-safe; Start() and Stop() once each.
class NetworkController {
 public:
  // The references must outlive this object.
  NetworkController(store::MetadataStore& store, netmesh::Network& network,
                    Clock& clock, Entropy& entropy,
                    NetworkControllerOptions options);

  void Start() { follower_.Start(); }
  void Stop() { follower_.Stop(); }

  // One pass over everything; public for tests and for start-up, which wants
  // the networks before the replicas.
  absl::Status ReconcileOnce();

  // The id of a Network object in netmesh.
  static std::string NetmeshId(const v1::Network& network);

 private:
  struct View {
    std::vector<v1::Object> networks;
    // Those whose records cannot be read.
    std::vector<store::Unreadable> unreadable;
    // Project and network of each service and job.
    std::set<std::pair<std::string, std::string>> users;
    // Projects in which there may be more users.
    std::set<std::string> unknown_users;
  };
  absl::StatusOr<View> Read();
  // Whether a pass could find something to do because of it. Most changes of
  // services are of their status, and most new ones join a network that is up.
  bool Concerns(const store::Change& change);
  absl::Status AddMissingDefaults(View& view);
  absl::Status Reconcile(const View& view, v1::Object object);
  absl::Status Delete(const View& view, const v1::Object& object);
  absl::Status Allocate(const View& view, v1::Object& object);
  absl::Status Commit(v1::Object& object, bool durable);

  store::MetadataStore& store_;
  netmesh::Network& network_;
  Clock& clock_;
  Entropy& entropy_;
  const NetworkControllerOptions options_;
  // The network of each service and job, as last read.
  std::map<store::Key, std::string> networks_of_;
  // Project and name of the networks that the last pass found, or made, ready.
  std::set<std::pair<std::string, std::string>> up_;
  Follower follower_;  // last: its thread uses the rest
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_NETWORKS_NETWORK_CONTROLLER_H_
