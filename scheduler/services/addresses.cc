#include "scheduler/services/addresses.h"

#include <arpa/inet.h>

#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "netmesh/ipam.h"

namespace bulwark::scheduler {

bool InSubnet(absl::string_view address, absl::string_view subnet) {
  const std::vector<std::string> parts = absl::StrSplit(subnet, '/');
  int bits = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &bits)) return false;
  for (int family : {AF_INET, AF_INET6}) {
    unsigned char a[16] = {}, net[16] = {};
    if (inet_pton(family, std::string(address).c_str(), a) != 1 ||
        inet_pton(family, parts[0].c_str(), net) != 1) {
      continue;
    }
    const int size = family == AF_INET ? 32 : 128;
    if (bits < 0 || bits > size) return false;
    if (std::memcmp(a, net, bits / 8) != 0) return false;
    if (bits % 8 == 0) return true;
    const int mask = 0xff << (8 - bits % 8);
    return ((a[bits / 8] ^ net[bits / 8]) & mask & 0xff) == 0;
  }
  return false;
}

SlotAddress KeptAddress(const std::vector<v1::Replica>& replicas, int slot,
                        const v1::NetworkStatus& network) {
  for (const v1::Replica& r : replicas) {
    if (r.spec().slot() != slot ||
        !InSubnet(r.spec().address(), network.subnet())) {
      continue;
    }
    if (!network.subnet6().empty() &&
        !InSubnet(r.spec().address6(), network.subnet6())) {
      continue;
    }
    return {r.spec().address(),
            network.subnet6().empty() ? "" : r.spec().address6()};
  }
  return {};
}

absl::StatusOr<SlotAddress> FreeAddress(const std::vector<SlotAddress>& taken,
                                        const v1::NetworkStatus& network) {
  std::vector<std::string> used, used6;
  for (const SlotAddress& t : taken) {
    if (!t.address.empty()) used.push_back(t.address);
    if (!t.address6.empty()) used6.push_back(t.address6);
  }
  SlotAddress found;
  ASSIGN_OR_RETURN(found.address, netmesh::PickAddress(network.subnet(), used));
  if (!network.subnet6().empty()) {
    ASSIGN_OR_RETURN(found.address6,
                     netmesh::PickAddress(network.subnet6(), used6));
  }
  return found;
}

std::vector<std::string> AddressesIn(absl::string_view bytes) {
  std::vector<std::string> addresses;
  // On the wire a string follows its length, which is one byte for these.
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t length = static_cast<unsigned char>(bytes[i]);
    if (length < 2 || length >= INET6_ADDRSTRLEN ||
        length >= bytes.size() - i) {
      continue;
    }
    const std::string text(bytes.substr(i + 1, length));
    unsigned char ignored[16];
    if (inet_pton(AF_INET, text.c_str(), ignored) == 1 ||
        inet_pton(AF_INET6, text.c_str(), ignored) == 1) {
      addresses.push_back(text);
    }
  }
  return addresses;
}

}  // namespace bulwark::scheduler
