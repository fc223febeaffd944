#include "netmesh/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::netmesh {
namespace {

using os::IpAddress;
using os::Subnet;

constexpr size_t kMaxNetworkId = 16;
constexpr size_t kMaxSandboxId = 20;
constexpr int kMaxBits4 = 30;
constexpr int kMinBits6 = 64;
constexpr int kMaxBits6 = 126;

absl::Status CheckId(absl::string_view kind, absl::string_view id,
                     size_t maximum) {
  bool good = !id.empty() && id.size() <= maximum &&
              std::all_of(id.begin(), id.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
              });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kind, " id \"", id.substr(0, 64), "\" is not 1 to ", maximum,
                   " characters of [a-z0-9]"));
}

absl::Status CheckInside(const SandboxSpec& spec, const IpAddress& address,
                         const Subnet& subnet, const IpAddress& gateway) {
  absl::string_view problem;
  if (!subnet.Contains(address)) {
    problem = "is outside of";
  } else if (address == gateway) {
    problem = "is the gateway of";
  } else if (address == subnet.base ||
             (address.family == AF_INET && address == subnet.Last())) {
    problem = "is reserved in";
  } else {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("sandbox ", spec.id, ": address ", address.ToString(), " ",
                   problem, " ", subnet.ToString()));
}

}  // namespace

NetworkInfo NetworkPlan::Info() const {
  return {spec, gateway.ToString(), gateway6 ? gateway6->ToString() : ""};
}

absl::StatusOr<NetworkPlan> PlanNetwork(const NetworkSpec& spec) {
  RETURN_IF_ERROR(CheckId("network", spec.id, kMaxNetworkId));
  NetworkPlan plan;
  plan.spec = spec;
  const std::string context = absl::StrCat("network ", spec.id);
  absl::StatusOr<Subnet> subnet = Subnet::Parse(spec.subnet);
  RETURN_IF_ERROR_CTX(subnet.status(), context);
  if (subnet->base.family != AF_INET || subnet->bits > kMaxBits4 ||
      subnet->bits < 8) {
    return absl::InvalidArgumentError(
        absl::StrCat(context, ": \"", spec.subnet,
                     "\" is not an IPv4 subnet between /8 and /", kMaxBits4));
  }
  plan.subnet = *subnet;
  plan.gateway = plan.subnet.base.Plus(1);
  if (spec.subnet6.empty()) return plan;
  absl::StatusOr<Subnet> subnet6 = Subnet::Parse(spec.subnet6);
  RETURN_IF_ERROR_CTX(subnet6.status(), context);
  if (subnet6->base.family != AF_INET6 || subnet6->bits < kMinBits6 ||
      subnet6->bits > kMaxBits6) {
    return absl::InvalidArgumentError(absl::StrCat(
        context, ": \"", spec.subnet6, "\" is not an IPv6 subnet between /",
        kMinBits6, " and /", kMaxBits6));
  }
  plan.subnet6 = *subnet6;
  plan.gateway6 = subnet6->base.Plus(1);
  return plan;
}

absl::StatusOr<SandboxPlan> PlanSandbox(const SandboxSpec& spec,
                                        const NetworkPlan& network) {
  RETURN_IF_ERROR(CheckId("sandbox", spec.id, kMaxSandboxId));
  if (spec.id == "dataplane") {
    return absl::InvalidArgumentError(
        "sandbox id \"dataplane\" is the data plane's own");
  }
  const std::string context = absl::StrCat("sandbox ", spec.id);
  SandboxPlan plan;
  plan.spec = spec;
  absl::StatusOr<IpAddress> address = IpAddress::Parse(spec.address);
  RETURN_IF_ERROR_CTX(address.status(), context);
  plan.address = *address;
  RETURN_IF_ERROR(
      CheckInside(spec, plan.address, network.subnet, network.gateway));
  if (spec.address6.empty()) return plan;
  if (!network.subnet6) {
    return absl::InvalidArgumentError(absl::StrCat(
        context, ": network ", network.spec.id, " has no IPv6 subnet"));
  }
  absl::StatusOr<IpAddress> address6 = IpAddress::Parse(spec.address6);
  RETURN_IF_ERROR_CTX(address6.status(), context);
  plan.address6 = *address6;
  RETURN_IF_ERROR(
      CheckInside(spec, *address6, *network.subnet6, *network.gateway6));
  return plan;
}

absl::StatusOr<NetworkPlan> NetworkTable::CheckNetwork(
    const NetworkSpec& spec) const {
  ASSIGN_OR_RETURN(NetworkPlan plan, PlanNetwork(spec));
  for (const auto& [id, other] : networks_) {
    if (id == spec.id) {
      if (other.subnet == plan.subnet && other.subnet6 == plan.subnet6) {
        return plan;
      }
      return absl::AlreadyExistsError(
          absl::StrCat("make network ", id, ": it exists with subnet ",
                       other.spec.subnet, " ", other.spec.subnet6));
    }
  }
  for (const auto& [id, other] : networks_) {
    if (other.subnet.Overlaps(plan.subnet) ||
        (plan.subnet6 && other.subnet6 &&
         other.subnet6->Overlaps(*plan.subnet6))) {
      return absl::AlreadyExistsError(absl::StrCat(
          "make network ", spec.id, ": its subnet overlaps network ", id, " (",
          other.spec.subnet, " ", other.spec.subnet6, ")"));
    }
  }
  return plan;
}

absl::StatusOr<SandboxPlan> NetworkTable::CheckSandbox(
    const SandboxSpec& spec) const {
  const NetworkPlan* network = FindNetwork(spec.network);
  if (network == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        "make sandbox ", spec.id, ": no network \"", spec.network, "\""));
  }
  ASSIGN_OR_RETURN(SandboxPlan plan, PlanSandbox(spec, *network));
  for (const auto& [id, other] : sandboxes_) {
    if (id == spec.id) {
      if (other.spec.network == spec.network && other.address == plan.address &&
          other.address6 == plan.address6 && other.spec.ids == spec.ids) {
        continue;
      }
      return absl::AlreadyExistsError(absl::StrCat(
          "make sandbox ", id, ": it exists with address ", other.spec.address,
          " ", other.spec.address6, " in network ", other.spec.network,
          " and ids from ", other.spec.ids.first));
    }
    if (other.spec.ids.Overlaps(spec.ids)) {
      return absl::AlreadyExistsError(
          absl::StrCat("make sandbox ", spec.id, ": sandbox ", id,
                       " holds ids from ", other.spec.ids.first));
    }
    if (other.address == plan.address ||
        (plan.address6 && other.address6 == plan.address6)) {
      return absl::AlreadyExistsError(absl::StrCat(
          "make sandbox ", spec.id, ": sandbox ", id, " holds address ",
          other.address == plan.address ? spec.address : spec.address6));
    }
  }
  return plan;
}

absl::Status NetworkTable::CheckDeleteNetwork(absl::string_view id) const {
  size_t users = 0;
  std::string example;
  for (const auto& [sandbox_id, sandbox] : sandboxes_) {
    if (sandbox.spec.network != id) continue;
    ++users;
    example = sandbox_id;
  }
  if (users == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("delete network ", id, ": ", users,
                   " sandboxes use it, such as ", example));
}

const NetworkPlan* NetworkTable::FindNetwork(absl::string_view id) const {
  auto it = networks_.find(id);
  return it == networks_.end() ? nullptr : &it->second;
}

const SandboxPlan* NetworkTable::FindSandbox(absl::string_view id) const {
  auto it = sandboxes_.find(id);
  return it == sandboxes_.end() ? nullptr : &it->second;
}

void NetworkTable::Insert(NetworkPlan network) {
  std::string id = network.spec.id;
  networks_.insert_or_assign(std::move(id), std::move(network));
}

void NetworkTable::Insert(SandboxPlan sandbox) {
  std::string id = sandbox.spec.id;
  sandboxes_.insert_or_assign(std::move(id), std::move(sandbox));
}

void NetworkTable::EraseNetwork(absl::string_view id) {
  if (auto it = networks_.find(id); it != networks_.end()) {
    networks_.erase(it);
  }
}

void NetworkTable::EraseSandbox(absl::string_view id) {
  if (auto it = sandboxes_.find(id); it != sandboxes_.end()) {
    sandboxes_.erase(it);
  }
}

void NetworkTable::Clear() {
  networks_.clear();
  sandboxes_.clear();
}

std::vector<NetworkPlan> NetworkTable::networks() const {
  std::vector<NetworkPlan> result;
  for (const auto& [id, plan] : networks_) result.push_back(plan);
  return result;
}

std::vector<SandboxPlan> NetworkTable::sandboxes() const {
  std::vector<SandboxPlan> result;
  for (const auto& [id, plan] : sandboxes_) result.push_back(plan);
  return result;
}

}  // namespace bulwark::netmesh
