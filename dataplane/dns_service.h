// The container DNS server, with sockets from the keeper.
#ifndef DATAPLANE_DNS_SERVICE_H_
#define DATAPLANE_DNS_SERVICE_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "lb/handover/keeper_client.h"
#include "netmesh/dns/dns_server.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::dataplane {

// Thread-compatible. Foreign names are asked for from the host's namespace: its
// resolver often listens on the host's loopback only.
class DnsService {
 public:
  // All are borrowed.
  DnsService(lb::KeeperClient& keeper, Clock& clock, Entropy& entropy);

  absl::Status Start() { return server_.Start(); }

  // Serves the views of `snapshot`; returns the sockets that are in use now. A
  // view whose sockets cannot be opened is reported as a listener error with
  // the key "dns@ADDRESS", the others work. INVALID_ARGUMENT: nothing changed.
  absl::StatusOr<std::vector<lb::SocketKey>> Apply(
      const v1::Snapshot& snapshot, std::vector<v1::ListenerError>& errors);

 private:
  absl::Status OpenView(const std::string& address);

  lb::KeeperClient& keeper_;
  netmesh::DnsServer server_;
  std::set<std::string> open_;
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_DNS_SERVICE_H_
