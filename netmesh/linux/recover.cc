// What an earlier process left: adopted if it is whole, else removed.
#include <dirent.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status.h"
#include "netmesh/linux/linux_network.h"
#include "netmesh/linux/names.h"

namespace bulwark::netmesh {
namespace {

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  if (dir == nullptr) return ErrnoStatus("open", path);
  std::vector<std::string> names;
  errno = 0;
  while (dirent* entry = readdir(dir.get())) {
    absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus("read", path);
  return names;
}

// "FIRST:SIZE", as the alias has it; none of anything else.
os::IdRange ParseIds(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  os::IdRange ids;
  if (!absl::SimpleAtoi(parts.first, &ids.first) ||
      !absl::SimpleAtoi(parts.second, &ids.size)) {
    return {};
  }
  return ids;
}

}  // namespace

absl::Status LinuxNetwork::Recover() {
  RETURN_IF_ERROR(config_error_);
  {
    absl::MutexLock op(&op_mu_);
    dataplane_.reset();
    prepared_.clear();
    {
      absl::MutexLock lock(&mu_);
      table_.Clear();
    }
    spares_.reset();
    ASSIGN_OR_RETURN(dataplane_, Dataplane::Open(config_));
    absl::Status status = StartSpares();
    if (status.ok()) status = Adopt();
    if (!status.ok()) {
      dataplane_.reset();
      return Annotate(status, "recover the network");
    }
    absl::MutexLock lock(&mu_);
    LOG_INFO("network ready", {{"netns", dataplane_netns()},
                               {"fresh", dataplane_->fresh()},
                               {"mtu", dataplane_->mtu()},
                               {"networks", table_.networks().size()},
                               {"sandboxes", table_.sandboxes().size()}});
  }
  Watch();
  return absl::OkStatus();
}

absl::Status LinuxNetwork::StartSpares() {
  std::optional<os::Netlink> outside;
  RETURN_IF_ERROR(dataplane_->Run([&]() -> absl::Status {
    ASSIGN_OR_RETURN(outside, os::Netlink::Open());
    return absl::OkStatus();
  }));
  ASSIGN_OR_RETURN(
      spares_, SpareNamespaces::Start(
                   kSpareSandboxes,
                   SpareLinks{*std::move(outside),
                              LinkPrefix(config_.instance, LinkKind::kSpare)}));
  return absl::OkStatus();
}

absl::Status LinuxNetwork::Adopt() {
  RETURN_IF_ERROR(dataplane_->Configure());
  ASSIGN_OR_RETURN(std::vector<os::Link> links,
                   dataplane_->netlink().ListLinks());
  RETURN_IF_ERROR(ScanNetworks(links));
  RETURN_IF_ERROR(ScanSandboxes(links));
  RETURN_IF_ERROR(RemoveStrayPins());
  RETURN_IF_ERROR(ApplyRules());
  return dataplane_->ApplyHostRules();
}

absl::Status LinuxNetwork::ScanNetworks(const std::vector<os::Link>& links) {
  os::Netlink& netlink = dataplane_->netlink();
  const std::string prefix = LinkPrefix(config_.instance, LinkKind::kBridge);
  for (const os::Link& link : links) {
    if (link.kind != "bridge" || !absl::StartsWith(link.name, prefix)) {
      continue;
    }
    absl::Status problem = absl::NotFoundError("half made");
    auto fields = ParseAlias(link.alias, config_.instance, kNetworkKind);
    if (fields && fields->size() == 3) {
      absl::MutexLock lock(&mu_);
      absl::StatusOr<NetworkPlan> plan =
          table_.CheckNetwork({(*fields)[0], (*fields)[1], (*fields)[2]});
      problem = plan.status();
      if (plan.ok()) {
        // Cheap to repeat, and repairs what others changed.
        problem.Update(
            netlink.AddAddress(link.index, plan->gateway, plan->subnet.bits));
        if (plan->gateway6) {
          problem.Update(netlink.AddAddress(link.index, *plan->gateway6,
                                            plan->subnet6->bits));
        }
        problem.Update(netlink.ChangeLink(link.index, {.up = true}));
        RETURN_IF_ERROR(problem);
        table_.Insert(*std::move(plan));
        continue;
      }
    }
    LOG_WARN("removing a stray bridge",
             {{"link", link.name}, {"alias", link.alias}, {"error", problem}});
    RETURN_IF_ERROR(netlink.DeleteLink(link.index));
  }
  return absl::OkStatus();
}

absl::Status LinuxNetwork::ScanSandboxes(const std::vector<os::Link>& links) {
  os::Netlink& netlink = dataplane_->netlink();
  const std::string prefix = LinkPrefix(config_.instance, LinkKind::kSandbox);
  for (const os::Link& link : links) {
    if (link.kind != "veth" || !absl::StartsWith(link.name, prefix)) continue;
    absl::Status problem = absl::NotFoundError("half made");
    auto fields = ParseAlias(link.alias, config_.instance, kSandboxKind);
    // Without ids: of a version that knew none.
    if (fields && (fields->size() == 4 || fields->size() == 5)) {
      const SandboxSpec spec{(*fields)[0], (*fields)[1], (*fields)[2],
                             (*fields)[3],
                             ParseIds(fields->size() == 5 ? (*fields)[4] : "")};
      absl::MutexLock lock(&mu_);
      absl::StatusOr<SandboxPlan> plan = table_.CheckSandbox(spec);
      problem = plan.status();
      if (plan.ok()) problem = os::OpenNetns(SandboxPath(spec.id)).status();
      if (link.master == 0) problem = absl::NotFoundError("in no bridge");
      if (problem.ok()) {
        RETURN_IF_ERROR(
            netlink.ChangeLink(link.index, {.up = true, .locked_port = true}));
        RETURN_IF_ERROR(
            netlink.ReplaceBridgeEntry(link.index, MacFor(plan->address)));
        table_.Insert(*std::move(plan));
        continue;
      }
    }
    LOG_INFO("removing a stray sandbox link",
             {{"link", link.name}, {"alias", link.alias}, {"error", problem}});
    RETURN_IF_ERROR(netlink.DeleteLink(link.index));
  }
  return absl::OkStatus();
}

absl::Status LinuxNetwork::RemoveStrayPins() {
  ASSIGN_OR_RETURN(std::vector<std::string> names,
                   ListDirectory(config_.runtime_dir + "/netns"));
  for (const std::string& name : names) {
    if (name == "dataplane") continue;
    {
      absl::MutexLock lock(&mu_);
      if (table_.FindSandbox(name) != nullptr) continue;
    }
    LOG_INFO("removing a stray network namespace",
             {{"pin", SandboxPath(name)}});
    RETURN_IF_ERROR(os::UnpinNetns(SandboxPath(name)));
  }
  return absl::OkStatus();
}

absl::Status LinuxNetwork::ApplyRules() {
  std::string text;
  {
    absl::MutexLock lock(&mu_);
    std::vector<SandboxPlan> sandboxes = table_.sandboxes();
    // A new one gets its rules when it is connected.
    std::erase_if(sandboxes, [this](const SandboxPlan& plan) {
      op_mu_.AssertHeld();
      const auto found = prepared_.find(plan.spec.id);
      return found != prepared_.end() && !found->second.has_rules;
    });
    text = DataplaneRules(dataplane_->rules(), table_.networks(), sandboxes);
  }
  return Annotate(dataplane_->ReplaceRules(text), "write the network's rules");
}

absl::Status LinuxNetwork::Repair() {
  absl::MutexLock op(&op_mu_);
  ASSIGN_OR_RETURN(Dataplane * plane, Ready());
  RETURN_IF_ERROR(plane->Configure());
  // Replacing rules takes milliseconds, and the more the more sandboxes.
  if (!plane->RulesUntouched()) RETURN_IF_ERROR(ApplyRules());
  if (plane->HostRulesUntouched()) return absl::OkStatus();
  return plane->ApplyHostRules();
}

absl::Status LinuxNetwork::RepairLocked() {
  RETURN_IF_ERROR(dataplane_->Configure());
  RETURN_IF_ERROR(ApplyRules());
  return dataplane_->ApplyHostRules();
}

void LinuxNetwork::Watch() {
  absl::MutexLock lock(&watch_mu_);
  watcher_.reset();
  std::vector<UniqueFd> sockets(2);
  absl::Status status = [&]() -> absl::Status {
    absl::MutexLock op(&op_mu_);
    ASSIGN_OR_RETURN(Dataplane * plane, Ready());
    RETURN_IF_ERROR(plane->worker().Run(-1, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(sockets[0], RuleWatcher::OpenSocket());
      return absl::OkStatus();
    }));
    return plane->Run([&]() -> absl::Status {
      ASSIGN_OR_RETURN(sockets[1], RuleWatcher::OpenSocket());
      return absl::OkStatus();
    });
  }();
  if (status.ok()) {
    auto watcher =
        RuleWatcher::Start(std::move(sockets), TableName(config_.instance),
                           [this] { OnTableRemoved(); });
    if (watcher.ok()) watcher_ = *std::move(watcher);
    status = watcher.status();
  }
  if (!status.ok()) {
    LOG_WARN("nobody watches the network's rules", {{"error", status}});
  }
}

void LinuxNetwork::OnTableRemoved() {
  absl::MutexLock op(&op_mu_);
  if (dataplane_ == nullptr) return;
  absl::StatusOr<bool> present = dataplane_->TablesPresent();
  // Our own replacement of the tables looks the same.
  if (present.ok() && *present) return;
  LOG_WARN("another program removed the network's rules; putting them back",
           {{"instance", config_.instance}});
  if (absl::Status status = RepairLocked(); !status.ok()) {
    LOG_ERROR("cannot put the network's rules back", {{"error", status}});
  }
}

absl::Status LinuxNetwork::Teardown() {
  RETURN_IF_ERROR(config_error_);
  {
    absl::MutexLock lock(&watch_mu_);
    watcher_.reset();
  }
  absl::MutexLock op(&op_mu_);
  if (dataplane_ == nullptr) {
    ASSIGN_OR_RETURN(dataplane_, Dataplane::Open(config_));
  }
  prepared_.clear();
  {
    absl::MutexLock lock(&mu_);
    table_.Clear();
  }
  // Links and rules go with their namespaces.
  RETURN_IF_ERROR(RemoveStrayPins());
  RETURN_IF_ERROR(dataplane_->Teardown());
  dataplane_.reset();
  spares_.reset();
  return absl::OkStatus();
}

}  // namespace bulwark::netmesh
