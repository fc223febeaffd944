// An IP address with a port, ready for the kernel.
#ifndef LB_SOCKET_ADDRESS_H_
#define LB_SOCKET_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::lb {

// Value type: IPv4 or IPv6.
class SocketAddress {
 public:
  SocketAddress() = default;

  // `address` is numeric ("10.0.0.1", "fd00::1"); INVALID_ARGUMENT otherwise,
  // and for port 0 or above 65535.
  static absl::StatusOr<SocketAddress> Parse(absl::string_view address,
                                             uint32_t port);

  int family() const { return any_.sa_family; }
  const sockaddr* get() const { return &any_; }
  sockaddr* get() { return &any_; }
  socklen_t size() const {
    return family() == AF_INET6 ? sizeof(v6_) : sizeof(v4_);
  }
  static constexpr socklen_t kCapacity = sizeof(sockaddr_in6);

  // Depends on the IP address alone, not on the port: equal for all
  // connections of one client.
  uint64_t HostHash() const;

  // "10.0.0.1:80", "[fd00::1]:80".
  std::string ToString() const;

 private:
  union {
    sockaddr any_ = {};
    sockaddr_in v4_;
    sockaddr_in6 v6_;
  };
};

// A cheap 64-bit mix (the finalizer of splitmix64), for hashing and seeding.
inline uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace bulwark::lb

#endif  // LB_SOCKET_ADDRESS_H_
