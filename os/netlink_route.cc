// Addresses, routes and neighbours.
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/netlink.h"
#include "os/netlink_message.h"

namespace bulwark::os {

absl::StatusOr<std::vector<LinkAddress>> Netlink::ListAddresses() {
  Request request(RTM_GETADDR, NLM_F_DUMP, "list addresses");
  request.Header(ifaddrmsg{.ifa_family = AF_UNSPEC});
  ASSIGN_OR_RETURN(std::vector<std::string> answers, Dump(request));
  std::vector<LinkAddress> addresses;
  for (const std::string& answer : answers) {
    ifaddrmsg info;
    if (!ReadHeader(answer, &info)) continue;
    LinkAddress address;
    address.link = static_cast<int>(info.ifa_index);
    address.bits = info.ifa_prefixlen;
    address.address.family = info.ifa_family;
    bool local = false;
    ForEachAttributeOf<ifaddrmsg>(
        answer, [&](int type, const char* data, size_t size) {
          // On IPv4 point-to-point links IFA_ADDRESS is the other end.
          if (type != IFA_LOCAL && (type != IFA_ADDRESS || local)) return;
          local = type == IFA_LOCAL;
          std::memcpy(address.address.bytes.data(), data,
                      std::min<size_t>(size, 16));
        });
    addresses.push_back(address);
  }
  return addresses;
}

namespace {

ifaddrmsg AddressHeader(int link, const IpAddress& address, int bits) {
  ifaddrmsg info{};
  info.ifa_family = static_cast<uint8_t>(address.family);
  info.ifa_prefixlen = static_cast<uint8_t>(bits);
  info.ifa_index = static_cast<uint32_t>(link);
  if (address.family == AF_INET6) info.ifa_flags = IFA_F_NODAD;
  return info;
}

}  // namespace

absl::Status Netlink::AddAddress(int link, const IpAddress& address, int bits) {
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                  absl::StrCat("add address ", address.ToString(), "/", bits));
  request.Header(AddressHeader(link, address, bits));
  request.Add(IFA_LOCAL, address).Add(IFA_ADDRESS, address);
  absl::Status status = Talk(request);
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

absl::Status Netlink::DeleteAddress(int link, const IpAddress& address,
                                    int bits) {
  Request request(
      RTM_DELADDR, NLM_F_ACK,
      absl::StrCat("delete address ", address.ToString(), "/", bits));
  request.Header(AddressHeader(link, address, bits));
  request.Add(IFA_LOCAL, address).Add(IFA_ADDRESS, address);
  return Talk(request);
}

absl::Status Netlink::ReplaceRoute(const Route& route) {
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK,
                  absl::StrCat("replace route ", route.destination.ToString()));
  rtmsg info{};
  info.rtm_family = static_cast<uint8_t>(route.destination.base.family);
  info.rtm_dst_len = static_cast<uint8_t>(route.destination.bits);
  info.rtm_table = route.local ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
  info.rtm_protocol = RTPROT_STATIC;
  info.rtm_type = route.local ? RTN_LOCAL : RTN_UNICAST;
  info.rtm_scope = route.local     ? RT_SCOPE_HOST
                   : route.gateway ? RT_SCOPE_UNIVERSE
                                   : RT_SCOPE_LINK;
  request.Header(info);
  if (route.destination.bits > 0) {
    request.Add(RTA_DST, route.destination.base);
  }
  if (route.gateway) request.Add(RTA_GATEWAY, *route.gateway);
  if (route.link) request.Add(RTA_OIF, static_cast<uint32_t>(route.link));
  return Talk(request);
}

absl::StatusOr<int> Netlink::DefaultRouteLink() {
  Request request(RTM_GETROUTE, NLM_F_DUMP, "list routes");
  rtmsg filter{};
  filter.rtm_family = AF_INET;
  request.Header(filter);
  ASSIGN_OR_RETURN(std::vector<std::string> answers, Dump(request));
  int best = 0;
  uint32_t best_metric = UINT32_MAX;
  for (const std::string& answer : answers) {
    rtmsg info;
    if (!ReadHeader(answer, &info) || info.rtm_dst_len != 0 ||
        info.rtm_table != RT_TABLE_MAIN || info.rtm_type != RTN_UNICAST) {
      continue;
    }
    uint32_t metric = 0;
    int link = 0;
    ForEachAttributeOf<rtmsg>(answer,
                              [&](int type, const char* data, size_t size) {
                                if (type == RTA_OIF)
                                  link = static_cast<int>(ReadU32(data, size));
                                if (type == RTA_PRIORITY)
                                  metric = ReadU32(data, size);
                              });
    if (link != 0 && metric < best_metric) {
      best = link;
      best_metric = metric;
    }
  }
  return best;
}

absl::Status Netlink::ReplaceBridgeEntry(int port, const MacAddress& mac) {
  Request request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK,
                  absl::StrCat("pin ", FormatMac(mac), " to port ", port));
  ndmsg info{};
  info.ndm_family = AF_BRIDGE;
  info.ndm_ifindex = port;
  info.ndm_state = NUD_NOARP;
  info.ndm_flags = NTF_MASTER;
  request.Header(info);
  request.Add(NDA_LLADDR, mac);
  return Talk(request);
}

}  // namespace bulwark::os
