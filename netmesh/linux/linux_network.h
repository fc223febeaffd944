// The network port over the Linux kernel.
#ifndef NETMESH_LINUX_LINUX_NETWORK_H_
#define NETMESH_LINUX_LINUX_NETWORK_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "netmesh/linux/dataplane.h"
#include "netmesh/linux/rule_watcher.h"
#include "netmesh/linux/spare_namespaces.h"
#include "netmesh/network.h"
#include "netmesh/plan.h"

namespace bulwark::netmesh {

// The kernel holds all the state that outlives us: each link's alias holds the
// spec of its network or sandbox, and is set last, so that Recover() knows what
// is half made, and removes it. Only workers enter other namespaces: the data
// plane's, and that of the namespaces made ahead.
class LinuxNetwork final : public Network {
 public:
  explicit LinuxNetwork(LinuxNetworkConfig config);
  ~LinuxNetwork() override;

  // Also switches IPv4 forwarding on in the host's namespace, and says so in
  // the log. FAILED_PRECONDITION in the host's own namespace without
  // config.allow_host_namespace. Callable again.
  absl::Status Recover() override;

  // Puts back what others removed or changed: sysctls, uplink, routes, tables.
  // Call it now and then; no packet of an existing connection is lost. Rules
  // that nobody touched since are left alone, at no cost to speak of. Tables
  // that vanish (a firewall's reload runs `nft flush ruleset`) are put back
  // without a call, in well under a second.
  absl::Status Repair();

  // Deletes everything that carries the instance: every sandbox, network, the
  // data-plane namespace, uplink and table; needs no Recover() before. For
  // uninstalling, and for tests. Forwarding stays on.
  absl::Status Teardown();

  std::string dataplane_netns() const override;
  absl::StatusOr<NetworkInfo> EnsureNetwork(const NetworkSpec& spec) override;
  absl::Status DeleteNetwork(absl::string_view id) override;
  std::vector<NetworkInfo> ListNetworks() override;
  // A sandbox whose namespace is gone is made again; one that lost its link
  // gets a new one.
  absl::StatusOr<Sandbox> PrepareSandbox(const SandboxSpec& spec) override;
  absl::Status ConnectSandbox(absl::string_view id) override;
  // Where the namespace of the sandbox `id` is, or would be.
  std::string SandboxPath(absl::string_view id) const;
  // Processes inside keep their namespace, cut off from the network.
  absl::Status DeleteSandbox(absl::string_view id) override;
  std::vector<Sandbox> ListSandboxes() override;
  std::optional<Sandbox> FindSandbox(absl::string_view id) override;
  absl::StatusOr<std::map<std::string, Traffic>> ReadTraffic() override;
  absl::StatusOr<UniqueFd> OpenSocket(int domain, int type,
                                      int protocol) override;

 private:
  absl::StatusOr<Dataplane*> Ready() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);

  // recover.cc
  absl::Status StartSpares() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status Adopt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status RepairLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  void Watch();
  void OnTableRemoved();
  absl::Status ScanNetworks(const std::vector<os::Link>& links)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status ScanSandboxes(const std::vector<os::Link>& links)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status RemoveStrayPins() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status ApplyRules() ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);

  // Rules by element, which may be there; all of them anew if that fails. What
  // is dropped is not in the table any more.
  absl::Status AddRules(absl::FunctionRef<absl::Status()> add)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status DropRules(absl::FunctionRef<absl::Status()> drop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status MakeBridge(const NetworkPlan& plan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);

  // sandboxes.cc
  // A sandbox that is not connected.
  struct Prepared {
    SandboxSpec spec;
    UniqueFd netns;
    std::optional<os::Netlink> inside;
    int port = 0;            // of the pair that there is; 0: none
    bool is_new = true;      // its namespace is: nobody can live in it
    bool has_rules = false;  // the kernel has rules of it
  };
  absl::StatusOr<Prepared> MakeNamespace(const SandboxSpec& spec)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  bool HasLink(const SandboxSpec& spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status Connect(Prepared& sandbox) ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  // Its end of the pair of links.
  static absl::Status ConnectInside(const SandboxPlan& plan,
                                    const NetworkPlan& network,
                                    os::Netlink& inside);
  absl::Status Remove(const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  // The same for one that cannot be had; says in the log what stays.
  void Discard(absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  // Gives the sandbox a pair of links, down, with our end in its bridge.
  absl::Status AddPair(const SandboxPlan& plan, int bridge, int netns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  absl::Status TakePair(const SandboxPlan& plan, int bridge, int port)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);
  // Removes the link of a deleted sandbox of the same id, which something keeps
  // alive.
  absl::Status RemoveOldLink(const SandboxPlan& plan, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(op_mu_);

  const LinuxNetworkConfig config_;
  const absl::Status config_error_;

  // One change at a time: the kernel serialises them anyway (rtnl_lock).
  absl::Mutex op_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  std::unique_ptr<Dataplane> dataplane_ ABSL_GUARDED_BY(op_mu_);
  std::unique_ptr<SpareNamespaces> spares_ ABSL_GUARDED_BY(op_mu_);
  // By id.
  std::map<std::string, Prepared, std::less<>> prepared_
      ABSL_GUARDED_BY(op_mu_);
  absl::Mutex mu_;
  NetworkTable table_ ABSL_GUARDED_BY(mu_);

  // Never taken while op_mu_ is held: ending the watcher waits for its thread,
  // which takes op_mu_.
  absl::Mutex watch_mu_;
  std::unique_ptr<RuleWatcher> watcher_ ABSL_GUARDED_BY(watch_mu_);
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_LINUX_LINUX_NETWORK_H_
