// Port of the container network: bridges in a pinned data-plane namespace, one
// network namespace ("sandbox") per replica.
#ifndef NETMESH_NETWORK_H_
#define NETMESH_NETWORK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "os/user_namespace.h"

namespace bulwark::netmesh {

using IdRange = os::IdRange;

// One bridge. All addresses are text ("10.210.3.1"), subnets CIDR.
struct NetworkSpec {
  std::string id;       // [a-z0-9]{1,16}; names its bridge
  std::string subnet;   // IPv4, e.g. "10.210.3.0/24"; gateway: first address
  std::string subnet6;  // IPv6 ULA /64, or empty
};

struct NetworkInfo {
  NetworkSpec spec;
  std::string gateway;   // also where DNS answers
  std::string gateway6;  // empty without subnet6
};

struct SandboxSpec {
  std::string id;        // [a-z0-9]{1,20}; names its netns and veth
  std::string network;   // NetworkSpec::id
  std::string address;   // inside the network's subnet
  std::string address6;  // or empty
  // The namespace belongs to a user namespace of this range, which lives as
  // long as it does; none: to ours.
  IdRange ids = {};
};

struct Sandbox {
  SandboxSpec spec;
  std::string netns_path;  // pinned; joins with setns
};

// Bytes since a sandbox's link was made, as seen from inside.
struct Traffic {
  int64_t receive_bytes = 0;
  int64_t transmit_bytes = 0;
};

// Thread-safe. Every call is idempotent and blocks on the kernel (a few ms).
class Network {
 public:
  virtual ~Network() = default;

  // Makes or repairs the data-plane namespace: uplink, NAT, sysctls, the local
  // route for virtual addresses. Finds networks and sandboxes that an earlier
  // process made. Call once, before the others. FAILED_PRECONDITION if the
  // kernel lacks what it takes.
  virtual absl::Status Recover() = 0;

  // Path of the data-plane namespace, for processes that live in it.
  virtual std::string dataplane_netns() const = 0;

  // ALREADY_EXISTS if the id exists with another subnet, or the subnet
  // overlaps another network's.
  virtual absl::StatusOr<NetworkInfo> EnsureNetwork(
      const NetworkSpec& spec) = 0;
  // FAILED_PRECONDITION while sandboxes use it; OK if it does not exist.
  virtual absl::Status DeleteNetwork(absl::string_view id) = 0;
  virtual std::vector<NetworkInfo> ListNetworks() = 0;

  // Makes the namespace: it can be entered, and its users have their ids, but
  // it may not be connected. NOT_FOUND without its network; ALREADY_EXISTS if
  // another sandbox holds the address or one of the ids, or if this one exists
  // with others.
  virtual absl::StatusOr<Sandbox> PrepareSandbox(const SandboxSpec& spec) = 0;
  // Connects it, if it is not. NOT_FOUND also if it was not prepared. After any
  // error one that nobody can live in, since its namespace is new, is gone.
  virtual absl::Status ConnectSandbox(absl::string_view id) = 0;
  // Both.
  absl::StatusOr<Sandbox> EnsureSandbox(const SandboxSpec& spec) {
    absl::StatusOr<Sandbox> sandbox = PrepareSandbox(spec);
    if (!sandbox.ok()) return sandbox;
    absl::Status connected = ConnectSandbox(spec.id);
    if (!connected.ok()) return connected;
    return sandbox;
  }
  // OK if it does not exist.
  virtual absl::Status DeleteSandbox(absl::string_view id) = 0;
  // Those that are prepared, too; so does the next.
  virtual std::vector<Sandbox> ListSandboxes() = 0;
  virtual std::optional<Sandbox> FindSandbox(absl::string_view id) = 0;
  // What went through each sandbox's link, by id; one question to the kernel
  // for all.
  virtual absl::StatusOr<std::map<std::string, Traffic>> ReadTraffic() = 0;

  // A socket(2) made in the data-plane namespace (close-on-exec), for probes.
  virtual absl::StatusOr<UniqueFd> OpenSocket(int domain, int type,
                                              int protocol) = 0;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_NETWORK_H_
