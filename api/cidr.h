// Subnets as text.
#ifndef API_CIDR_H_
#define API_CIDR_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace bulwark::api {

// An IPv4 or IPv6 subnet without host bits. A value.
class Cidr {
 public:
  // "10.20.0.0/24", "fd00::/64"; none for anything else.
  static std::optional<Cidr> Parse(absl::string_view text);

  bool is_ipv4() const { return ipv4_; }
  int bits() const { return bits_; }

  // Whether the two share an address.
  bool Overlaps(const Cidr& other) const;

  // Whether hosts may have such addresses: not the unspecified network,
  // loopback, link-local, multicast or reserved (IANA special-purpose
  // registries).
  bool IsUsable() const;

 private:
  bool ipv4_ = true;
  int bits_ = 0;
  std::array<uint8_t, 16> address_{};
};

}  // namespace bulwark::api

#endif  // API_CIDR_H_
