// The rules of networks and sandboxes, apart from any kernel. Pure.
#ifndef NETMESH_PLAN_H_
#define NETMESH_PLAN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "netmesh/network.h"
#include "os/ip_address.h"

namespace bulwark::netmesh {

// A NetworkSpec, parsed.
struct NetworkPlan {
  NetworkSpec spec;
  os::Subnet subnet;
  std::optional<os::Subnet> subnet6;
  os::IpAddress gateway;
  std::optional<os::IpAddress> gateway6;

  NetworkInfo Info() const;
};

struct SandboxPlan {
  SandboxSpec spec;
  os::IpAddress address;
  std::optional<os::IpAddress> address6;
};

// INVALID_ARGUMENT says which field of which id is wrong. A network holds at
// least one sandbox: /30 or larger; IPv6 /64 to /126.
absl::StatusOr<NetworkPlan> PlanNetwork(const NetworkSpec& spec);
absl::StatusOr<SandboxPlan> PlanSandbox(const SandboxSpec& spec,
                                        const NetworkPlan& network);

// What exists. Thread-compatible; both implementations of the port decide with
// it, so that they refuse the same things.
class NetworkTable {
 public:
  // The plan of `spec`, if it is there already or may be added.
  // ALREADY_EXISTS as the port says.
  absl::StatusOr<NetworkPlan> CheckNetwork(const NetworkSpec& spec) const;
  // The same. Also ALREADY_EXISTS if the id has another network or address.
  absl::StatusOr<SandboxPlan> CheckSandbox(const SandboxSpec& spec) const;
  // FAILED_PRECONDITION if sandboxes use it.
  absl::Status CheckDeleteNetwork(absl::string_view id) const;

  const NetworkPlan* FindNetwork(absl::string_view id) const;
  const SandboxPlan* FindSandbox(absl::string_view id) const;
  void Insert(NetworkPlan network);
  void Insert(SandboxPlan sandbox);
  void EraseNetwork(absl::string_view id);
  void EraseSandbox(absl::string_view id);
  void Clear();

  // Sorted by id.
  std::vector<NetworkPlan> networks() const;
  std::vector<SandboxPlan> sandboxes() const;

 private:
  std::map<std::string, NetworkPlan, std::less<>> networks_;
  std::map<std::string, SandboxPlan, std::less<>> sandboxes_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_PLAN_H_
