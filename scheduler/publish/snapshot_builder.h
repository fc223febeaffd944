// From objects to what the data plane serves. Pure.
#ifndef SCHEDULER_PUBLISH_SNAPSHOT_BUILDER_H_
#define SCHEDULER_PUBLISH_SNAPSHOT_BUILDER_H_

#include <string>
#include <vector>

#include "proto/bulwark/dataplane/v1/snapshot.pb.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

// What a snapshot is made of, in the order of the store's listings.
struct PublishView {
  std::vector<v1::Service> services;
  std::vector<v1::Replica> replicas;
  std::vector<v1::Network> networks;
  // Those for one writer.
  std::vector<v1::Volume> single_writer;
  std::vector<std::string> dns_upstreams;
  // Addresses at which only foreign names are answered: networks of no project.
  std::vector<std::string> dns_addresses;
  // Services whose records cannot be read, "PROJECT/NAME": BuildSnapshot()
  // knows nothing of them.
  std::vector<std::string> unreadable;
};

// The domain under which every service has a name:
// SERVICE.PROJECT.bulwark.internal.
inline constexpr char kDnsDomain[] = "bulwark.internal";

// The snapshot of `view`, without a version. Deterministic: equal views give
// equal snapshots.
//
// A replica is READY while it runs, is wanted and ready; DRAINING from the
// moment it is not wanted until it has ended; absent otherwise. A service that
// is stopped or going away keeps no listener. Where a replica ends before the
// next one starts, because of a volume, new connections wait for as long as
// that may take: the stop timeout and half a minute.
dataplane::v1::Snapshot BuildSnapshot(const PublishView& view);

// "default/web/http@vip" belongs to service default/web; returns that prefix.
std::string ServiceOfListener(const std::string& key);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_SNAPSHOT_BUILDER_H_
