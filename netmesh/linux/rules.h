// The nftables rules, as text for os::Nft. Pure.
#ifndef NETMESH_LINUX_RULES_H_
#define NETMESH_LINUX_RULES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "netmesh/plan.h"
#include "os/ip_address.h"
#include "os/nft_elements.h"

namespace bulwark::netmesh {

struct RulesConfig {
  std::string instance;
  os::Subnet uplink;
  os::Subnet virtual_pool;
  // Containers may reach the host's own addresses, and link-local ones (cloud
  // metadata services live there).
  bool allow_host_access = false;
  bool allow_link_local = false;
};

// Each of these replaces the whole table in one transaction.

// In the host's namespace: NAT of the uplink; nothing starts towards the data
// plane from outside; containers do not reach the host.
std::string HostRules(const RulesConfig& config);
// In the data-plane namespace: an `inet` table (isolation, NAT) and a `bridge`
// table (which port may send as which MAC and IP address).
std::string DataplaneRules(const RulesConfig& config,
                           const std::vector<NetworkPlan>& networks,
                           const std::vector<SandboxPlan>& sandboxes);

// Elements of one network or sandbox. Adding is idempotent; deleting what is
// not there is an error. Those of a sandbox are of the `bridge` table.
std::string NetworkElements(const RulesConfig& config, absl::string_view verb,
                            const NetworkPlan& network);
std::vector<os::NftElement> SandboxElements(const RulesConfig& config,
                                            const SandboxPlan& sandbox);

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_RULES_H_
