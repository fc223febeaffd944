#include "netmesh/fake/fake_network.h"

#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::netmesh {
namespace {

std::string SandboxPath(absl::string_view id) {
  return absl::StrCat("/run/fake/netns/", id);
}

}  // namespace

void FakeNetwork::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&kernel_.mu);
  failure_ = std::move(status);
  failures_ = count;
}

void FakeNetwork::SetSandboxHook(
    std::function<void(const SandboxSpec& spec)> hook) {
  absl::MutexLock lock(&kernel_.mu);
  sandbox_hook_ = std::move(hook);
}

void FakeNetwork::SetConnectHook(
    std::function<absl::Status(absl::string_view)> hook) {
  absl::MutexLock lock(&kernel_.mu);
  connect_hook_ = std::move(hook);
}

absl::Status FakeNetwork::Begin() {
  if (!recovered_) {
    return absl::FailedPreconditionError(
        "network: not recovered yet (Recover() failed or was not called)");
  }
  if (failures_ == 0) return absl::OkStatus();
  --failures_;
  return failure_;
}

absl::Status FakeNetwork::Recover() {
  absl::MutexLock lock(&kernel_.mu);
  for (const std::string& id : kernel_.unconnected) {
    kernel_.table.EraseSandbox(id);
  }
  kernel_.unconnected.clear();
  recovered_ = true;
  return absl::OkStatus();
}

std::string FakeNetwork::dataplane_netns() const {
  return SandboxPath("dataplane");
}

absl::StatusOr<NetworkInfo> FakeNetwork::EnsureNetwork(
    const NetworkSpec& spec) {
  absl::MutexLock lock(&kernel_.mu);
  RETURN_IF_ERROR(Begin());
  ASSIGN_OR_RETURN(NetworkPlan plan, kernel_.table.CheckNetwork(spec));
  kernel_.table.Insert(plan);
  return plan.Info();
}

absl::Status FakeNetwork::DeleteNetwork(absl::string_view id) {
  absl::MutexLock lock(&kernel_.mu);
  RETURN_IF_ERROR(Begin());
  RETURN_IF_ERROR(kernel_.table.CheckDeleteNetwork(id));
  kernel_.table.EraseNetwork(id);
  return absl::OkStatus();
}

std::vector<NetworkInfo> FakeNetwork::ListNetworks() {
  absl::MutexLock lock(&kernel_.mu);
  std::vector<NetworkInfo> result;
  for (const NetworkPlan& plan : kernel_.table.networks()) {
    result.push_back(plan.Info());
  }
  return result;
}

absl::StatusOr<Sandbox> FakeNetwork::PrepareSandbox(const SandboxSpec& spec) {
  std::function<void(const SandboxSpec&)> hook;
  {
    absl::MutexLock lock(&kernel_.mu);
    hook = sandbox_hook_;
  }
  if (hook) hook(spec);
  absl::MutexLock lock(&kernel_.mu);
  RETURN_IF_ERROR(Begin());
  ASSIGN_OR_RETURN(SandboxPlan plan, kernel_.table.CheckSandbox(spec));
  if (kernel_.table.FindSandbox(spec.id) == nullptr) {
    kernel_.table.Insert(std::move(plan));
    kernel_.unconnected.insert(spec.id);
  }
  return Sandbox{spec, SandboxPath(spec.id)};
}

absl::Status FakeNetwork::ConnectSandbox(absl::string_view id) {
  std::function<absl::Status(absl::string_view)> hook;
  {
    absl::MutexLock lock(&kernel_.mu);
    if (!recovered_) return Begin();
    if (kernel_.table.FindSandbox(id) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("connect sandbox ", id, ": it does not exist"));
    }
    if (!kernel_.unconnected.contains(id)) return absl::OkStatus();
    hook = connect_hook_;
  }
  const absl::Status told = hook ? hook(id) : absl::OkStatus();
  absl::MutexLock lock(&kernel_.mu);
  if (!kernel_.unconnected.contains(id)) {
    // Somebody else connected it, or deleted it.
    if (kernel_.table.FindSandbox(id) != nullptr) return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("connect sandbox ", id, ": it was deleted"));
  }
  absl::Status status = Begin();
  if (!told.ok()) status = told;
  if (!status.ok()) kernel_.table.EraseSandbox(id);
  kernel_.unconnected.erase(std::string(id));
  return status;
}

absl::Status FakeNetwork::DeleteSandbox(absl::string_view id) {
  absl::MutexLock lock(&kernel_.mu);
  RETURN_IF_ERROR(Begin());
  kernel_.table.EraseSandbox(id);
  kernel_.unconnected.erase(std::string(id));
  return absl::OkStatus();
}

std::vector<Sandbox> FakeNetwork::ListSandboxes() {
  absl::MutexLock lock(&kernel_.mu);
  std::vector<Sandbox> result;
  for (const SandboxPlan& plan : kernel_.table.sandboxes()) {
    result.push_back({plan.spec, SandboxPath(plan.spec.id)});
  }
  return result;
}

std::optional<Sandbox> FakeNetwork::FindSandbox(absl::string_view id) {
  absl::MutexLock lock(&kernel_.mu);
  const SandboxPlan* plan = kernel_.table.FindSandbox(id);
  if (plan == nullptr) return std::nullopt;
  return Sandbox{plan->spec, SandboxPath(id)};
}

void FakeNetwork::SetTraffic(const std::string& id, const Traffic& traffic) {
  absl::MutexLock lock(&kernel_.mu);
  traffic_[id] = traffic;
}

absl::StatusOr<std::map<std::string, Traffic>> FakeNetwork::ReadTraffic() {
  absl::MutexLock lock(&kernel_.mu);
  RETURN_IF_ERROR(Begin());
  std::map<std::string, Traffic> traffic;
  for (const SandboxPlan& plan : kernel_.table.sandboxes()) {
    if (kernel_.unconnected.contains(plan.spec.id)) continue;
    const auto it = traffic_.find(plan.spec.id);
    traffic[plan.spec.id] = it == traffic_.end() ? Traffic() : it->second;
  }
  return traffic;
}

absl::StatusOr<UniqueFd> FakeNetwork::OpenSocket(int domain, int type,
                                                 int protocol) {
  {
    absl::MutexLock lock(&kernel_.mu);
    RETURN_IF_ERROR(Begin());
  }
  UniqueFd fd(socket(domain, type | SOCK_CLOEXEC, protocol));
  if (!fd.ok()) return ErrnoStatus("open", "socket");
  return fd;
}

}  // namespace bulwark::netmesh
