// The data-plane namespace and its uplink to the host.
#ifndef NETMESH_LINUX_DATAPLANE_H_
#define NETMESH_LINUX_DATAPLANE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "netmesh/ipam.h"
#include "netmesh/linux/net_sysctl.h"
#include "netmesh/linux/rules.h"
#include "os/netlink.h"
#include "os/netns.h"
#include "os/nft.h"
#include "os/nft_elements.h"
#include "os/nft_generation.h"

namespace bulwark::netmesh {

struct LinuxNetworkConfig {
  // [a-z][a-z0-9-]{0,30}; in the name of each kernel object.
  std::string instance = "bulwark";
  // Absolute; pins lie in <runtime_dir>/netns.
  std::string runtime_dir = "/run/bulwark";
  // A subnet with two addresses: the host's, then the data plane's.
  std::string uplink_subnet{kDefaultUplinkSubnet};
  std::string virtual_pool{kDefaultVirtualPool};
  // Allows to work in the namespace of process 1: NAT, a link and forwarding
  // there. The daemon's --i-own-this-host.
  bool allow_host_namespace = false;
  // See RulesConfig.
  bool allow_host_access = false;
  bool allow_link_local = false;
};

// Thread-compatible.
class Dataplane {
 public:
  // Opens or makes and pins the namespace. "Host" is the calling thread's
  // namespace from now on.
  static absl::StatusOr<std::unique_ptr<Dataplane>> Open(
      const LinuxNetworkConfig& config);

  // Loopback, sysctls, uplink and routes; idempotent, repairs.
  absl::Status Configure();
  // Each replaces its tables.
  absl::Status ApplyHostRules();
  absl::Status ReplaceRules(const std::string& commands);
  // Changes those in the data plane.
  absl::Status RunRules(const std::string& commands);
  // Adds what of them is a sandbox's, or deletes it.
  absl::Status AddSandboxRules(const SandboxPlan& sandbox);
  absl::Status DeleteSandboxRules(const SandboxPlan& sandbox);
  // Whether nobody has committed anything to the nftables of the namespace
  // since its tables were replaced, but we those of sandboxes; RunRules()
  // counts as somebody. Cheap. False, too, if that cannot be told.
  bool HostRulesUntouched();
  bool RulesUntouched();
  // Whether all tables exist, whatever they hold.
  absl::StatusOr<bool> TablesPresent();
  // Deletes uplink, tables and pin.
  absl::Status Teardown();

  // In the data-plane namespace.
  absl::Status Run(absl::FunctionRef<absl::Status()> task);
  os::NetnsWorker& worker() { return *worker_; }
  os::Netlink& netlink() { return *inside_; }
  const RulesConfig& rules() const { return rules_; }
  // MTU for every link: that of the host's way out.
  uint32_t mtu() const { return mtu_; }
  // Whether the namespace was made by this Open().
  bool fresh() const { return fresh_; }

 private:
  Dataplane() = default;
  absl::Status OpenSockets();
  absl::Status FindMtu();
  absl::Status ConfigureInside();
  absl::Status KeepSysctls();
  absl::Status ConfigureHost();
  // Checks the veth pair; makes it again if it is not whole.
  absl::Status EnsureUplink();
  absl::Status CheckUplinkSubnet();

  // Whose rules, and as of which transaction they are what was last written.
  struct Written {
    std::optional<os::NftGeneration> generation;
    std::optional<uint32_t> last;
  };
  // Runs `replace`, one transaction, and notes its number if it is certain
  // that no other came between.
  static absl::Status Note(Written& written,
                           absl::FunctionRef<absl::Status()> replace);
  static bool Untouched(Written& written);
  // Runs `change`, one transaction on tables that are as they were written, or
  // not.
  static absl::Status NoteChange(Written& written,
                                 absl::FunctionRef<absl::Status()> change);

  LinuxNetworkConfig config_;
  RulesConfig rules_;
  std::string pin_;
  std::unique_ptr<os::NetnsWorker> worker_;
  UniqueFd netns_;
  std::optional<os::Netlink> host_;
  std::optional<os::Netlink> inside_;
  std::optional<os::Nft> host_nft_;
  std::optional<os::Nft> inside_nft_;
  std::optional<os::NftElements> elements_;   // inside
  std::map<std::string, NetSysctl> sysctls_;  // inside, by name
  std::optional<NetSysctl> forwarding_;       // the host's
  Written host_written_;
  Written inside_written_;
  uint32_t mtu_ = 1500;
  bool fresh_ = false;
};

// The rules' part of `config`. INVALID_ARGUMENT names the field.
absl::StatusOr<RulesConfig> ParseConfig(const LinuxNetworkConfig& config);

// Writes /proc/sys/net/<name> in the calling thread's namespace. `optional`:
// OK if the kernel has no such file.
absl::Status WriteNetSysctl(absl::string_view name, absl::string_view value,
                            bool optional);

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_DATAPLANE_H_
