#include "daemon/build_networks.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "netmesh/ipam.h"

namespace bulwark::daemon {
namespace {

constexpr char kNetwork[] = "build";

}  // namespace

absl::Status BuildNetworks::Open() {
  auto info = network_.EnsureNetwork({kNetwork, subnet_, ""});
  opened_ = Annotate(info.status(), "network of builds");
  RETURN_IF_ERROR(opened_);
  gateway_ = info->gateway;
  absl::Status first;
  for (const netmesh::Sandbox& sandbox : network_.ListSandboxes()) {
    if (sandbox.spec.network != kNetwork) continue;
    first.Update(network_.DeleteSandbox(sandbox.spec.id));
  }
  return first;
}

std::vector<std::string> BuildNetworks::DnsAddresses() const {
  if (!opened_.ok()) return {};
  return {gateway_};
}

absl::StatusOr<engine::build::BuildNetwork> BuildNetworks::Acquire(
    const engine::IdRange& ids) {
  RETURN_IF_ERROR(opened_);
  absl::MutexLock lock(&mu_);
  std::vector<std::string> used;
  for (const netmesh::Sandbox& sandbox : network_.ListSandboxes()) {
    if (sandbox.spec.network == kNetwork) used.push_back(sandbox.spec.address);
  }
  netmesh::SandboxSpec spec;
  spec.id = absl::StrCat("b", NewUid(entropy_));
  spec.network = kNetwork;
  spec.ids = {ids.first, ids.size};
  ASSIGN_OR_RETURN(spec.address, netmesh::PickAddress(subnet_, used));
  ASSIGN_OR_RETURN(netmesh::Sandbox sandbox, network_.EnsureSandbox(spec));
  engine::build::BuildNetwork network;
  network.network_namespace = sandbox.netns_path;
  network.nameservers = {gateway_};
  network.lease = std::shared_ptr<void>(
      nullptr, [this, id = spec.id](void*) { Release(id); });
  return network;
}

void BuildNetworks::Release(const std::string& sandbox) {
  const absl::Status status = network_.DeleteSandbox(sandbox);
  if (status.ok()) return;
  LOG_WARN("the network of a build stays until the next start",
           {{"sandbox", sandbox}, {"cause", status}});
}

}  // namespace bulwark::daemon
