// IPv4 and IPv6 addresses and subnets as values. Pure.
#ifndef OS_IP_ADDRESS_H_
#define OS_IP_ADDRESS_H_

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::os {

struct IpAddress {
  int family = AF_UNSPEC;           // AF_INET or AF_INET6
  std::array<uint8_t, 16> bytes{};  // network order; the first size() count

  int size() const { return family == AF_INET ? 4 : 16; }
  auto operator<=>(const IpAddress&) const = default;

  // "10.0.0.1" or "fd00::1", nothing else: INVALID_ARGUMENT.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);
  static IpAddress V4(uint32_t host_order);
  // The address `n` places further on; wraps within the family.
  IpAddress Plus(uint64_t n) const;
  std::string ToString() const;
  // "1.0.0.10.in-addr.arpa" and its ip6.arpa counterpart.
  std::string ReverseName() const;
};

// A CIDR block; the bits after the prefix are zero.
struct Subnet {
  IpAddress base;
  int bits = 0;

  auto operator<=>(const Subnet&) const = default;

  // "10.210.3.0/24". INVALID_ARGUMENT if malformed or if host bits are set
  // (the message names the subnet that was probably meant).
  static absl::StatusOr<Subnet> Parse(absl::string_view text);
  bool Contains(const IpAddress& address) const;
  bool Overlaps(const Subnet& other) const;
  // The last address: IPv4's broadcast address.
  IpAddress Last() const;
  std::string ToString() const;
};

}  // namespace bulwark::os

#endif  // OS_IP_ADDRESS_H_
