// Which subnet or address to take next. Pure: the caller keeps what is used.
#ifndef NETMESH_IPAM_H_
#define NETMESH_IPAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::netmesh {

inline constexpr absl::string_view kDefaultContainerPool = "10.210.0.0/16";
// 1,021 replicas: a bridge has at most 1,024 ports (BR_MAX_PORTS).
inline constexpr int kDefaultSubnetBits = 22;
inline constexpr absl::string_view kDefaultVirtualPool = "10.211.0.0/16";
inline constexpr absl::string_view kDefaultUplinkSubnet = "10.212.0.0/30";
inline constexpr int kSubnet6Bits = 64;  // ULA networks, from a /48

// All of these take and give text, IPv4 or IPv6; results are the lowest that
// is free, so that equal inputs give equal results. INVALID_ARGUMENT if an
// input is malformed; RESOURCE_EXHAUSTED, with the remedy, if none is free.

// The lowest subnet of `bits` in `pool` that overlaps none of `used` (subnets;
// those of the other family or outside the pool do no harm).
absl::StatusOr<std::string> PickSubnet(absl::string_view pool, int bits,
                                       const std::vector<std::string>& used);

// The gateway of a network: its first address.
absl::StatusOr<std::string> GatewayOf(absl::string_view subnet);

// The lowest address of a network's `subnet` that is not in `used` and is
// neither the network's own, the gateway's nor (IPv4) the broadcast address.
absl::StatusOr<std::string> PickAddress(absl::string_view subnet,
                                        const std::vector<std::string>& used);

// The lowest free address of the pool of virtual addresses, which has no
// gateway; the first and (IPv4) the last are never given.
absl::StatusOr<std::string> PickVirtualAddress(
    absl::string_view pool, const std::vector<std::string>& used);

}  // namespace bulwark::netmesh

#endif  // NETMESH_IPAM_H_
