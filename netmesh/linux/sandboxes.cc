// Sandboxes: their namespaces, and how those are connected.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/status.h"
#include "netmesh/linux/linux_network.h"
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

bool LinuxNetwork::HasLink(const SandboxSpec& spec) {
  const absl::StatusOr<os::Link> link = dataplane_->netlink().GetLink(
      LinkName(config_.instance, LinkKind::kSandbox, spec.id));
  if (!link.ok()) return false;
  // Without its alias it is half made.
  const auto fields = ParseAlias(link->alias, config_.instance, kSandboxKind);
  return fields && (*fields)[0] == spec.id;
}

absl::StatusOr<Sandbox> LinuxNetwork::PrepareSandbox(const SandboxSpec& spec) {
  absl::MutexLock op(&op_mu_);
  RETURN_IF_ERROR(Ready().status());
  SandboxPlan plan;
  bool exists = false;
  {
    absl::MutexLock lock(&mu_);
    ASSIGN_OR_RETURN(plan, table_.CheckSandbox(spec));
    exists = table_.FindSandbox(spec.id) != nullptr;
  }
  const Sandbox sandbox{spec, SandboxPath(spec.id)};
  UniqueFd pinned;
  if (exists) {
    absl::StatusOr<UniqueFd> opened = os::OpenNetns(sandbox.netns_path);
    if (opened.ok()) pinned = *std::move(opened);
  }
  const auto prepared = prepared_.find(spec.id);
  bool has_rules = exists;
  if (prepared != prepared_.end()) {
    if (pinned.ok()) return sandbox;
    has_rules = prepared->second.has_rules;
  } else if (pinned.ok()) {
    if (HasLink(spec)) return sandbox;
    Prepared& old = prepared_[spec.id];
    old.spec = spec;
    old.netns = std::move(pinned);
    old.is_new = false;
    old.has_rules = true;
    return sandbox;
  }
  absl::StatusOr<Prepared> made = MakeNamespace(spec);
  if (!made.ok()) {
    // Nothing of one that was there is left but its rules.
    if (exists) Discard(spec.id);
    return made.status();
  }
  made->has_rules = has_rules;
  prepared_[spec.id] = *std::move(made);
  absl::MutexLock lock(&mu_);
  table_.Insert(std::move(plan));
  return sandbox;
}

absl::StatusOr<LinuxNetwork::Prepared> LinuxNetwork::MakeNamespace(
    const SandboxSpec& spec) {
  const std::string pin = SandboxPath(spec.id);
  Prepared made;
  made.spec = spec;
  const absl::Status status = [&]() -> absl::Status {
    // What an attempt that failed, or a namespace that is gone, left behind.
    RETURN_IF_ERROR(os::UnpinNetns(pin));
    if (spec.ids.size == 0) {
      ASSIGN_OR_RETURN(made.netns, dataplane_->worker().Create());
      ASSIGN_OR_RETURN(made.inside, PrepareNamespace(dataplane_->worker(),
                                                     made.netns.get()));
    } else {
      ASSIGN_OR_RETURN(SandboxNamespace taken,
                       spares_->Take(spec.ids, dataplane_->mtu()));
      made.port = taken.port;
      made.netns = std::move(taken.network);
      made.inside = std::move(taken.netlink);
    }
    return os::PinNetns(made.netns.get(), pin);
  }();
  RETURN_IF_ERROR_CTX(status, absl::StrCat("make sandbox ", spec.id));
  return made;
}

absl::Status LinuxNetwork::ConnectSandbox(absl::string_view id) {
  absl::MutexLock op(&op_mu_);
  RETURN_IF_ERROR(Ready().status());
  auto found = prepared_.find(id);
  if (found == prepared_.end()) {
    absl::MutexLock lock(&mu_);
    if (table_.FindSandbox(id) != nullptr) return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("connect sandbox ", id, ": it does not exist"));
  }
  const absl::Status status = Connect(found->second);
  if (status.ok()) {
    prepared_.erase(found);
  } else if (found->second.is_new) {
    Discard(id);
  }  // else somebody may live in it: the next call tries again
  return Annotate(status, absl::StrCat("make sandbox ", id));
}

void LinuxNetwork::Discard(absl::string_view id) {
  const absl::Status removed = Remove(std::string(id));
  if (removed.ok()) return;
  LOG_WARN("a sandbox that failed is not removed whole",
           {{"sandbox", id}, {"error", removed}});
}

absl::Status LinuxNetwork::Connect(Prepared& sandbox) {
  SandboxPlan plan;
  NetworkPlan network;
  {
    absl::MutexLock lock(&mu_);
    plan = *table_.FindSandbox(sandbox.spec.id);
    network = *table_.FindNetwork(sandbox.spec.network);
  }
  const int netns = sandbox.netns.get();
  if (!sandbox.inside.has_value()) {
    ASSIGN_OR_RETURN(sandbox.inside,
                     PrepareNamespace(dataplane_->worker(), netns));
  }
  if (plan.address6.has_value()) {
    RETURN_IF_ERROR(dataplane_->worker().Run(netns, [&]() -> absl::Status {
      RETURN_IF_ERROR(
          WriteNetSysctl("ipv6/conf/default/disable_ipv6", "0", true));
      if (sandbox.port == 0) return absl::OkStatus();
      return WriteNetSysctl(
          absl::StrCat("ipv6/conf/", kSandboxLink, "/disable_ipv6"), "0", true);
    }));
  }
  os::Netlink& netlink = dataplane_->netlink();
  ASSIGN_OR_RETURN(os::Link bridge,
                   netlink.GetLink(LinkName(config_.instance, LinkKind::kBridge,
                                            plan.spec.network)));
  RETURN_IF_ERROR(sandbox.port == 0
                      ? AddPair(plan, bridge.index, netns)
                      : TakePair(plan, bridge.index, sandbox.port));
  ASSIGN_OR_RETURN(os::Link port,
                   netlink.GetLink(LinkName(config_.instance,
                                            LinkKind::kSandbox, plan.spec.id)));
  Rollback undo;
  undo.Add([&] { netlink.DeleteLink(port.index).IgnoreError(); });
  RETURN_IF_ERROR(ConnectInside(plan, network, *sandbox.inside));
  RETURN_IF_ERROR(AddRules([&] { return dataplane_->AddSandboxRules(plan); }));
  sandbox.has_rules = true;
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

absl::Status LinuxNetwork::ConnectInside(const SandboxPlan& plan,
                                         const NetworkPlan& network,
                                         os::Netlink& inside) {
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
  return Remove(std::string(id));
}

absl::Status LinuxNetwork::Remove(const std::string& id) {
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
  const auto prepared = prepared_.find(id);
  const bool has_rules =
      prepared == prepared_.end() || prepared->second.has_rules;
  if (prepared != prepared_.end()) prepared_.erase(prepared);
  {
    absl::MutexLock lock(&mu_);
    table_.EraseSandbox(id);
  }
  if (!has_rules) return absl::OkStatus();
  return DropRules([&] { return dataplane_->DeleteSandboxRules(plan); });
}

}  // namespace bulwark::netmesh
