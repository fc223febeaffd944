#include "lb/socket_address.h"

#include <arpa/inet.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace bulwark::lb {

absl::StatusOr<SocketAddress> SocketAddress::Parse(absl::string_view address,
                                                   uint32_t port) {
  if (port == 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("parse address ", address, ": ", port, " is not a port"));
  }
  const std::string text(address);
  SocketAddress result;
  std::memset(&result.v6_, 0, sizeof(result.v6_));
  if (inet_pton(AF_INET, text.c_str(), &result.v4_.sin_addr) == 1) {
    result.v4_.sin_family = AF_INET;
    result.v4_.sin_port = htons(static_cast<uint16_t>(port));
    return result;
  }
  if (inet_pton(AF_INET6, text.c_str(), &result.v6_.sin6_addr) == 1) {
    result.v6_.sin6_family = AF_INET6;
    result.v6_.sin6_port = htons(static_cast<uint16_t>(port));
    return result;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parse address \"", address, "\": not an IP address"));
}

uint64_t SocketAddress::HostHash() const {
  if (family() == AF_INET6) {
    uint64_t halves[2];
    std::memcpy(halves, &v6_.sin6_addr, sizeof(halves));
    return Mix64(halves[0] ^ Mix64(halves[1]));
  }
  return Mix64(v4_.sin_addr.s_addr);
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &v6_.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(v6_.sin6_port));
  }
  inet_ntop(AF_INET, &v4_.sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(v4_.sin_port));
}

}  // namespace bulwark::lb
