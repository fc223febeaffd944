// A small rtnetlink client: links, addresses, routes, neighbours
// (rtnetlink(7)). One request at a time, each waits for the kernel's answer.
#ifndef OS_NETLINK_H_
#define OS_NETLINK_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "os/ip_address.h"

namespace bulwark::os {

using MacAddress = std::array<uint8_t, 6>;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;   // "bridge", "veth"; empty for hardware and lo
  std::string alias;  // ifalias
  int master = 0;     // index of its bridge; 0: none
  int peer = 0;       // veth: index of the other end, in the peer's namespace
  uint32_t mtu = 0;
  bool up = false;
  MacAddress mac{};
  uint64_t receive_bytes = 0;
  uint64_t transmit_bytes = 0;
};

struct LinkAddress {
  int link = 0;
  IpAddress address;
  int bits = 0;
};

// What to change on a link. Unset members stay as they are.
struct LinkChange {
  std::optional<bool> up;
  std::optional<std::string> name;  // of one that is down
  std::optional<std::string> alias;
  std::optional<MacAddress> mac;
  std::optional<int> master;  // bridge to join
  // Bridge ports: neither learn addresses nor flood unknown unicast frames.
  bool locked_port = false;
};

struct BridgeOptions {
  std::string name;
  MacAddress mac{};
  uint32_t mtu = 1500;
};

// Both ends are made down. The peer is born in its namespace: moving it there
// afterwards costs 20 ms, this 0.4 ms.
struct VethOptions {
  std::string name;
  int master = 0;  // bridge to join; 0: none
  uint32_t mtu = 1500;
  std::optional<MacAddress> mac;
  std::string peer_name;
  int peer_netns_fd = -1;
  std::optional<MacAddress> peer_mac;
};

struct Route {
  Subnet destination;  // bits 0: default route
  std::optional<IpAddress> gateway;
  int link = 0;        // output link; 0: the kernel's choice
  bool local = false;  // deliver here (RTN_LOCAL)
};

// Move-only, thread-compatible. It acts in the network namespace that the
// calling thread was in at Open(), from whichever thread it is used. Errors
// carry the kernel's errno, and its text where it gives one.
class Netlink {
 public:
  static absl::StatusOr<Netlink> Open();

  absl::StatusOr<std::vector<Link>> ListLinks();
  // NOT_FOUND if there is none.
  absl::StatusOr<Link> GetLink(absl::string_view name);
  // ALREADY_EXISTS if the name is taken.
  absl::Status AddBridge(const BridgeOptions& options);
  absl::Status AddVeth(const VethOptions& options);
  // ALREADY_EXISTS if the name is taken; nothing is changed then but the MAC.
  absl::Status ChangeLink(int index, const LinkChange& change);
  // OK if it does not exist.
  absl::Status DeleteLink(int index);

  absl::StatusOr<std::vector<LinkAddress>> ListAddresses();
  // OK if it is there. IPv6 addresses skip duplicate detection.
  absl::Status AddAddress(int link, const IpAddress& address, int bits);
  absl::Status DeleteAddress(int link, const IpAddress& address, int bits);
  // Takes the place of a route to the same destination.
  absl::Status ReplaceRoute(const Route& route);
  // The output link of the IPv4 default route; 0 if there is none.
  absl::StatusOr<int> DefaultRouteLink();
  // Pins `mac` to bridge port `port` in the bridge's table, whatever it was
  // pinned to before.
  absl::Status ReplaceBridgeEntry(int port, const MacAddress& mac);

 private:
  explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}

  class Request;
  // Sends `request` and hands each answer message to `each`.
  absl::Status Talk(Request& request,
                    std::vector<std::string>* answers = nullptr);

  // Talk() for a list; again if the list changed while it was read.
  absl::StatusOr<std::vector<std::string>> Dump(Request& request);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
};

// "02:42:0a:d2:03:05".
std::string FormatMac(const MacAddress& mac);

}  // namespace bulwark::os

#endif  // OS_NETLINK_H_
