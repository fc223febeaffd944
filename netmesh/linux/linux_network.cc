#include "netmesh/linux/linux_network.h"

#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/status.h"
#include "netmesh/linux/names.h"

namespace bulwark::netmesh {
namespace {

std::vector<std::string> AliasFields(const SandboxSpec& spec) {
  const std::string ids =
      spec.ids.size == 0 ? ""
                         : absl::StrCat(spec.ids.first, ":", spec.ids.size);
  return {spec.id, spec.network, spec.address, spec.address6, ids};
}

}  // namespace

LinuxNetwork::LinuxNetwork(LinuxNetworkConfig config)
    : config_(std::move(config)),
      config_error_(ParseConfig(config_).status()) {}

LinuxNetwork::~LinuxNetwork() {
  // Its thread uses everything else.
  absl::MutexLock lock(&watch_mu_);
  watcher_.reset();
}

std::string LinuxNetwork::dataplane_netns() const {
  return SandboxPath("dataplane");
}

std::string LinuxNetwork::SandboxPath(absl::string_view id) const {
  return absl::StrCat(config_.runtime_dir, "/netns/", id);
}

absl::StatusOr<Dataplane*> LinuxNetwork::Ready() {
  if (dataplane_ == nullptr) {
    return absl::FailedPreconditionError(
        "network: not recovered yet (Recover() failed or was not called)");
  }
  return dataplane_.get();
}

absl::StatusOr<NetworkInfo> LinuxNetwork::EnsureNetwork(
    const NetworkSpec& spec) {
  absl::MutexLock op(&op_mu_);
  ASSIGN_OR_RETURN(Dataplane * plane, Ready());
  NetworkPlan plan;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(plan, table_.CheckNetwork(spec));
    if (table_.FindNetwork(spec.id) != nullptr) return plan.Info();
  }
  if (plan.subnet.Overlaps(plane->rules().uplink) ||
      plan.subnet.Overlaps(plane->rules().virtual_pool)) {
    return absl::InvalidArgumentError(
        absl::StrCat("make network ", spec.id, ": ", spec.subnet,
                     " overlaps the uplink or the pool of virtual addresses"));
  }
  RETURN_IF_ERROR_CTX(MakeBridge(plan), absl::StrCat("make network ", spec.id));
  absl::MutexLock lock(&mu_);
  table_.Insert(plan);
  return plan.Info();
}

absl::Status LinuxNetwork::MakeBridge(const NetworkPlan& plan) {
  os::Netlink& netlink = dataplane_->netlink();
  os::BridgeOptions options;
  options.name = LinkName(config_.instance, LinkKind::kBridge, plan.spec.id);
  options.mac = MacFor(plan.gateway);
  options.mtu = dataplane_->mtu();
  absl::Status added = netlink.AddBridge(options);
  if (absl::IsAlreadyExists(added)) {
    // No network that we know: left by an attempt whose undoing failed.
    ASSIGN_OR_RETURN(os::Link stray, netlink.GetLink(options.name));
    auto fields = ParseAlias(stray.alias, config_.instance, kNetworkKind);
    if (fields && (*fields)[0] != plan.spec.id) {
      return absl::AlreadyExistsError(absl::StrCat(
          "bridge ", options.name, " is that of network ", (*fields)[0]));
    }
    RETURN_IF_ERROR(netlink.DeleteLink(stray.index));
    added = netlink.AddBridge(options);
  }
  RETURN_IF_ERROR(added);
  Rollback undo;
  ASSIGN_OR_RETURN(os::Link bridge, netlink.GetLink(options.name));
  undo.Add([&] { netlink.DeleteLink(bridge.index).IgnoreError(); });
  RETURN_IF_ERROR(
      netlink.AddAddress(bridge.index, plan.gateway, plan.subnet.bits));
  if (plan.gateway6) {
    RETURN_IF_ERROR(
        netlink.AddAddress(bridge.index, *plan.gateway6, plan.subnet6->bits));
  }
  RETURN_IF_ERROR(netlink.ChangeLink(bridge.index, {.up = true}));
  // Before the alias: a network that Recover() accepts is never without rules
  // (it also writes them anew).
  RETURN_IF_ERROR(AddRules([&] {
    return dataplane_->RunRules(
        NetworkElements(dataplane_->rules(), "add", plan));
  }));
  RETURN_IF_ERROR(netlink.ChangeLink(
      bridge.index, {.alias = FormatAlias(config_.instance, kNetworkKind,
                                          {plan.spec.id, plan.spec.subnet,
                                           plan.spec.subnet6})}));
  undo.Commit();
  return absl::OkStatus();
}

absl::Status LinuxNetwork::AddRules(absl::FunctionRef<absl::Status()> add) {
  const absl::Status status = add();
  if (status.ok()) return status;
  // Somebody emptied the tables.
  LOG_DEBUG("writing all network rules again", {{"error", status}});
  RETURN_IF_ERROR(ApplyRules());
  return add();
}

absl::Status LinuxNetwork::DropRules(absl::FunctionRef<absl::Status()> drop) {
  const absl::Status status = drop();
  if (status.ok()) return status;
  // Somebody emptied the tables, or an element is gone already.
  LOG_DEBUG("writing all network rules again", {{"error", status}});
  return ApplyRules();
}

absl::Status LinuxNetwork::DeleteNetwork(absl::string_view id) {
  absl::MutexLock op(&op_mu_);
  ASSIGN_OR_RETURN(Dataplane * plane, Ready());
  NetworkPlan plan;
  {
    absl::MutexLock lock(&mu_);
    const NetworkPlan* found = table_.FindNetwork(id);
    if (found == nullptr) return absl::OkStatus();
    RETURN_IF_ERROR(table_.CheckDeleteNetwork(id));
    plan = *found;
  }
  const std::string name = LinkName(config_.instance, LinkKind::kBridge, id);
  absl::StatusOr<os::Link> bridge = plane->netlink().GetLink(name);
  if (bridge.ok()) {
    RETURN_IF_ERROR_CTX(plane->netlink().DeleteLink(bridge->index),
                        absl::StrCat("delete network ", id));
  } else if (!absl::IsNotFound(bridge.status())) {
    return bridge.status();
  }
  {
    absl::MutexLock lock(&mu_);
    table_.EraseNetwork(id);
  }
  return DropRules([&] {
    return plane->RunRules(NetworkElements(plane->rules(), "delete", plan));
  });
}

std::vector<NetworkInfo> LinuxNetwork::ListNetworks() {
  absl::MutexLock lock(&mu_);
  std::vector<NetworkInfo> result;
  for (const NetworkPlan& plan : table_.networks()) {
    result.push_back(plan.Info());
  }
  return result;
}

absl::StatusOr<Sandbox> LinuxNetwork::EnsureSandbox(const SandboxSpec& spec) {
  absl::MutexLock op(&op_mu_);
  RETURN_IF_ERROR(Ready().status());
  SandboxPlan plan;
  NetworkPlan network;
  bool exists = false;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(plan, table_.CheckSandbox(spec));
    network = *table_.FindNetwork(spec.network);
    exists = table_.FindSandbox(spec.id) != nullptr;
  }
  const Sandbox sandbox{spec, SandboxPath(spec.id)};
  UniqueFd netns;
  if (exists) {
    absl::StatusOr<UniqueFd> pinned = os::OpenNetns(sandbox.netns_path);
    if (pinned.ok()) netns = *std::move(pinned);
    if (netns.ok() &&
        dataplane_->netlink()
            .GetLink(LinkName(config_.instance, LinkKind::kSandbox, spec.id))
            .ok()) {
      return sandbox;
    }
  }
  RETURN_IF_ERROR_CTX(MakeSandbox(plan, network, std::move(netns)),
                      absl::StrCat("make sandbox ", spec.id));
  absl::MutexLock lock(&mu_);
  table_.Insert(plan);
  return sandbox;
}

absl::Status LinuxNetwork::MakeSandbox(const SandboxPlan& plan,
                                       const NetworkPlan& network,
                                       UniqueFd netns) {
  const std::string pin = SandboxPath(plan.spec.id);
  Rollback undo;
  std::optional<os::Netlink> inside;
  int spare_port = 0;
  if (!netns.ok()) {
    // What an attempt that failed, or a namespace that is gone, left behind.
    RETURN_IF_ERROR(os::UnpinNetns(pin));
    if (plan.spec.ids.size == 0) {
      ASSIGN_OR_RETURN(netns, dataplane_->worker().Create());
    } else {
      ASSIGN_OR_RETURN(SandboxNamespace made,
                       spares_->Take(plan.spec.ids, dataplane_->mtu()));
      spare_port = made.port;
      netns = std::move(made.network);
      inside = std::move(made.netlink);
    }
    RETURN_IF_ERROR(os::PinNetns(netns.get(), pin));
    undo.Add([&] { os::UnpinNetns(pin).IgnoreError(); });
  }
  if (!inside.has_value()) {
    ASSIGN_OR_RETURN(inside,
                     PrepareNamespace(dataplane_->worker(), netns.get()));
  }
  if (plan.address6.has_value()) {
    RETURN_IF_ERROR(
        dataplane_->worker().Run(netns.get(), [&]() -> absl::Status {
          RETURN_IF_ERROR(
              WriteNetSysctl("ipv6/conf/default/disable_ipv6", "0", true));
          if (spare_port == 0) return absl::OkStatus();
          return WriteNetSysctl(
              absl::StrCat("ipv6/conf/", kSandboxLink, "/disable_ipv6"), "0",
              true);
        }));
  }
  RETURN_IF_ERROR(
      ConnectSandbox(plan, network, netns.get(), spare_port, *inside));
  os::Netlink& netlink = dataplane_->netlink();
  const std::string name =
      LinkName(config_.instance, LinkKind::kSandbox, plan.spec.id);
  ASSIGN_OR_RETURN(os::Link port, netlink.GetLink(name));
  undo.Add([&] { netlink.DeleteLink(port.index).IgnoreError(); });
  RETURN_IF_ERROR(AddRules([&] { return dataplane_->AddSandboxRules(plan); }));
  // The address may have been another sandbox's a moment ago.
  RETURN_IF_ERROR(netlink.ReplaceBridgeEntry(port.index, MacFor(plan.address)));
  RETURN_IF_ERROR(
      netlink.ChangeLink(port.index, {.up = true, .locked_port = true}));
  RETURN_IF_ERROR(netlink.ChangeLink(
      port.index, {.alias = FormatAlias(config_.instance, kSandboxKind,
                                        AliasFields(plan.spec))}));
  undo.Commit();
  return absl::OkStatus();
}

absl::Status LinuxNetwork::RemoveOldLink(const SandboxPlan& plan,
                                         const std::string& name) {
  os::Netlink& outside = dataplane_->netlink();
  ASSIGN_OR_RETURN(os::Link old, outside.GetLink(name));
  auto fields = ParseAlias(old.alias, config_.instance, kSandboxKind);
  if (fields && (*fields)[0] != plan.spec.id) {
    return absl::AlreadyExistsError(
        absl::StrCat("link ", name, " is that of sandbox ", (*fields)[0]));
  }
  return outside.DeleteLink(old.index);
}

absl::Status LinuxNetwork::AddPair(const SandboxPlan& plan, int bridge,
                                   int netns) {
  os::VethOptions veth;
  veth.name = LinkName(config_.instance, LinkKind::kSandbox, plan.spec.id);
  veth.master = bridge;
  veth.mtu = dataplane_->mtu();
  veth.peer_name = std::string(kSandboxLink);
  veth.peer_netns_fd = netns;
  veth.peer_mac = MacFor(plan.address);
  const absl::Status added = dataplane_->netlink().AddVeth(veth);
  if (!absl::IsAlreadyExists(added)) return added;
  RETURN_IF_ERROR(RemoveOldLink(plan, veth.name));
  return dataplane_->netlink().AddVeth(veth);
}

absl::Status LinuxNetwork::TakePair(const SandboxPlan& plan, int bridge,
                                    int port) {
  const os::LinkChange change = {
      .name = LinkName(config_.instance, LinkKind::kSandbox, plan.spec.id),
      .master = bridge};
  const absl::Status changed = dataplane_->netlink().ChangeLink(port, change);
  if (!absl::IsAlreadyExists(changed)) return changed;
  RETURN_IF_ERROR(RemoveOldLink(plan, *change.name));
  return dataplane_->netlink().ChangeLink(port, change);
}

absl::Status LinuxNetwork::ConnectSandbox(const SandboxPlan& plan,
                                          const NetworkPlan& network, int netns,
                                          int port, os::Netlink& inside) {
  ASSIGN_OR_RETURN(os::Link bridge, dataplane_->netlink().GetLink(LinkName(
                                        config_.instance, LinkKind::kBridge,
                                        plan.spec.network)));
  RETURN_IF_ERROR(port == 0 ? AddPair(plan, bridge.index, netns)
                            : TakePair(plan, bridge.index, port));

  ASSIGN_OR_RETURN(os::Link eth, inside.GetLink(kSandboxLink));
  RETURN_IF_ERROR(
      inside.AddAddress(eth.index, plan.address, network.subnet.bits));
  if (plan.address6) {
    RETURN_IF_ERROR(
        inside.AddAddress(eth.index, *plan.address6, network.subnet6->bits));
  }
  RETURN_IF_ERROR(
      inside.ChangeLink(eth.index, {.up = true, .mac = MacFor(plan.address)}));
  RETURN_IF_ERROR(inside.ReplaceRoute(
      {.destination = {os::IpAddress::V4(0), 0}, .gateway = network.gateway}));
  if (!plan.address6) return absl::OkStatus();
  os::Subnet all6;
  all6.base.family = AF_INET6;
  return inside.ReplaceRoute(
      {.destination = all6, .gateway = network.gateway6, .link = eth.index});
}

absl::Status LinuxNetwork::DeleteSandbox(absl::string_view id) {
  absl::MutexLock op(&op_mu_);
  RETURN_IF_ERROR(Ready().status());
  SandboxPlan plan;
  {
    absl::MutexLock lock(&mu_);
    const SandboxPlan* found = table_.FindSandbox(id);
    if (found == nullptr) return absl::OkStatus();
    plan = *found;
  }
  // The kernel takes the link away when the namespace dies, which is much
  // faster than deleting it; without the rule it can say nothing any more.
  RETURN_IF_ERROR_CTX(os::UnpinNetns(SandboxPath(id)),
                      absl::StrCat("delete sandbox ", id));
  {
    absl::MutexLock lock(&mu_);
    table_.EraseSandbox(id);
  }
  return DropRules([&] { return dataplane_->DeleteSandboxRules(plan); });
}

std::vector<Sandbox> LinuxNetwork::ListSandboxes() {
  absl::MutexLock lock(&mu_);
  std::vector<Sandbox> result;
  for (const SandboxPlan& plan : table_.sandboxes()) {
    result.push_back({plan.spec, SandboxPath(plan.spec.id)});
  }
  return result;
}

absl::StatusOr<std::map<std::string, Traffic>> LinuxNetwork::ReadTraffic() {
  std::vector<os::Link> links;
  {
    absl::MutexLock op(&op_mu_);
    ASSIGN_OR_RETURN(Dataplane * plane, Ready());
    ASSIGN_OR_RETURN(links, plane->netlink().ListLinks());
  }
  std::map<std::string, Traffic> traffic;
  for (const os::Link& link : links) {
    auto fields = ParseAlias(link.alias, config_.instance, kSandboxKind);
    if (!fields) continue;
    // What our end of the pair received, the sandbox sent.
    traffic[(*fields)[0]] = {static_cast<int64_t>(link.transmit_bytes),
                             static_cast<int64_t>(link.receive_bytes)};
  }
  return traffic;
}

absl::StatusOr<UniqueFd> LinuxNetwork::OpenSocket(int domain, int type,
                                                  int protocol) {
  absl::MutexLock op(&op_mu_);
  ASSIGN_OR_RETURN(Dataplane * plane, Ready());
  UniqueFd fd;
  RETURN_IF_ERROR(plane->Run([&]() -> absl::Status {
    fd.Reset(socket(domain, type | SOCK_CLOEXEC, protocol));
    if (fd.ok()) return absl::OkStatus();
    return ErrnoStatus("open", "socket in the data-plane namespace");
  }));
  return fd;
}

}  // namespace bulwark::netmesh
