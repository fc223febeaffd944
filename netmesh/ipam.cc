#include "netmesh/ipam.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/ip_address.h"

namespace bulwark::netmesh {
namespace {

using os::IpAddress;
using os::Subnet;

absl::StatusOr<std::string> LowestFree(const Subnet& subnet, uint64_t first,
                                       const std::vector<std::string>& used,
                                       absl::string_view remedy) {
  std::set<IpAddress> taken;
  for (const std::string& text : used) {
    ASSIGN_OR_RETURN(IpAddress address, IpAddress::Parse(text));
    taken.insert(address);
  }
  if (subnet.base.family == AF_INET) taken.insert(subnet.Last());
  // Among one more candidates than are taken, one is free.
  IpAddress candidate = subnet.base.Plus(first);
  for (size_t i = 0; i <= taken.size(); ++i) {
    if (candidate <= subnet.base || !subnet.Contains(candidate)) break;
    if (!taken.contains(candidate)) return candidate.ToString();
    candidate = candidate.Plus(1);
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "pick address in ", subnet.ToString(), ": all are in use; ", remedy));
}

}  // namespace

absl::StatusOr<std::string> PickSubnet(absl::string_view pool, int bits,
                                       const std::vector<std::string>& used) {
  ASSIGN_OR_RETURN(Subnet whole, Subnet::Parse(pool));
  const int size = whole.base.size() * 8;
  if (bits < whole.bits || bits > size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pick subnet in ", pool, ": a prefix of ", bits, " bits does not fit"));
  }
  std::vector<Subnet> taken;
  for (const std::string& text : used) {
    ASSIGN_OR_RETURN(Subnet subnet, Subnet::Parse(text));
    if (subnet.Overlaps(whole)) taken.push_back(subnet);
  }
  std::sort(taken.begin(), taken.end());
  Subnet candidate{whole.base, bits};
  while (whole.Contains(candidate.base)) {
    auto clash = std::find_if(taken.begin(), taken.end(), [&](const Subnet& s) {
      return s.Overlaps(candidate);
    });
    if (clash == taken.end()) return candidate.ToString();
    // The next candidate after both; aligned, since either contains the other.
    IpAddress next = std::max(clash->Last(), candidate.Last()).Plus(1);
    if (next <= candidate.base) break;  // wrapped
    candidate.base = next;
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "pick subnet of ", bits, " bits in ", pool,
      ": all are in use; delete a network, or give the daemon a larger pool"));
}

absl::StatusOr<std::string> GatewayOf(absl::string_view subnet) {
  ASSIGN_OR_RETURN(Subnet parsed, Subnet::Parse(subnet));
  return parsed.base.Plus(1).ToString();
}

absl::StatusOr<std::string> PickAddress(absl::string_view subnet,
                                        const std::vector<std::string>& used) {
  ASSIGN_OR_RETURN(Subnet parsed, Subnet::Parse(subnet));
  return LowestFree(
      parsed, 2, used,
      "remove replicas, or make the network again with a larger subnet");
}

absl::StatusOr<std::string> PickVirtualAddress(
    absl::string_view pool, const std::vector<std::string>& used) {
  ASSIGN_OR_RETURN(Subnet parsed, Subnet::Parse(pool));
  return LowestFree(parsed, 1, used,
                    "delete a service, or give the daemon a larger pool of "
                    "virtual addresses");
}

}  // namespace bulwark::netmesh
