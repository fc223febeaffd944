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

std::vector<Sandbox> LinuxNetwork::ListSandboxes() {
  absl::MutexLock lock(&mu_);
  std::vector<Sandbox> result;
  for (const SandboxPlan& plan : table_.sandboxes()) {
    result.push_back({plan.spec, SandboxPath(plan.spec.id)});
  }
  return result;
}

std::optional<Sandbox> LinuxNetwork::FindSandbox(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  const SandboxPlan* plan = table_.FindSandbox(id);
  if (plan == nullptr) return std::nullopt;
  return Sandbox{plan->spec, SandboxPath(id)};
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
