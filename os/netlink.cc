#include "os/netlink.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "os/netlink_message.h"

namespace bulwark::os {
namespace {

// A dump that raced with a change is read again.
constexpr int kMaxDumps = 10;

Link ParseLink(const std::string& message, const ifinfomsg& info) {
  Link link;
  link.index = info.ifi_index;
  link.up = info.ifi_flags & IFF_UP;
  ForEachAttributeOf<ifinfomsg>(
      message, [&](int type, const char* data, size_t size) {
        switch (type) {
          case IFLA_IFNAME:
            link.name = ReadString(data, size);
            break;
          case IFLA_IFALIAS:
            link.alias = ReadString(data, size);
            break;
          case IFLA_MASTER:
            link.master = static_cast<int>(ReadU32(data, size));
            break;
          case IFLA_LINK:
            link.peer = static_cast<int>(ReadU32(data, size));
            break;
          case IFLA_MTU:
            link.mtu = ReadU32(data, size);
            break;
          case IFLA_ADDRESS:
            if (size == 6) std::memcpy(link.mac.data(), data, 6);
            break;
          case IFLA_STATS64: {
            // The kernel may know more counters, or fewer, than our header.
            rtnl_link_stats64 stats{};
            std::memcpy(&stats, data, std::min(size, sizeof(stats)));
            link.receive_bytes = stats.rx_bytes;
            link.transmit_bytes = stats.tx_bytes;
            break;
          }
          case IFLA_LINKINFO:
            ForEachAttribute(data, size, [&](int t, const char* d, size_t n) {
              if (t == IFLA_INFO_KIND) link.kind = ReadString(d, n);
            });
            break;
          default:
            break;
        }
      });
  return link;
}

// The error that the kernel's NLMSG_ERROR carries, with its own words if any
// (NLMSGERR_ATTR_MSG).
absl::Status KernelError(const std::string& message, absl::string_view what) {
  nlmsgerr error;
  if (!ReadHeader(message, &error)) {
    return absl::InternalError(absl::StrCat(what, ": short netlink error"));
  }
  if (error.error == 0) return absl::OkStatus();
  absl::Status status = ErrnoStatus(-error.error, "netlink", what);
  nlmsghdr header;
  std::memcpy(&header, message.data(), sizeof(header));
  if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return status;
  size_t skip = NLMSG_HDRLEN + sizeof(nlmsgerr);
  if (!(header.nlmsg_flags & NLM_F_CAPPED)) {
    skip += NLMSG_ALIGN(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  std::string text;
  if (skip < message.size()) {
    ForEachAttribute(message.data() + skip, message.size() - skip,
                     [&](int type, const char* data, size_t size) {
                       if (type == NLMSGERR_ATTR_MSG) {
                         text = ReadString(data, size);
                       }
                     });
  }
  if (text.empty()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), " (", text, ")"));
}

}  // namespace

absl::StatusOr<Netlink> Netlink::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.ok()) return ErrnoStatus("open", "netlink route socket");
  int on = 1;
  // Older kernels lack these; they only improve messages and checks.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) <
      0) {
    return ErrnoStatus("bind", "netlink route socket");
  }
  return Netlink(std::move(fd));
}

absl::Status Netlink::Talk(Request& request,
                           std::vector<std::string>* answers) {
  const uint32_t sequence = ++sequence_;
  const std::string& bytes = request.Finish(sequence);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd_.get(), bytes.data(), bytes.size(), 0,
             reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    return ErrnoStatus("send netlink", request.what());
  }
  std::vector<char> buffer(64 << 10);
  bool interrupted = false;
  while (true) {
    ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("receive netlink", request.what());
    size_t left = static_cast<size_t>(n);
    const char* at = buffer.data();
    while (left >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      std::memcpy(&header, at, sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > left) break;
      std::string message(at, header.nlmsg_len);
      size_t step = std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), left);
      at += step;
      left -= step;
      if (header.nlmsg_seq != sequence) continue;
      if (header.nlmsg_type == NLMSG_ERROR) {
        return KernelError(message, request.what());
      }
      if (header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (header.nlmsg_type == NLMSG_DONE) {
        if (!interrupted) return absl::OkStatus();
        return absl::AbortedError(
            absl::StrCat("netlink ", request.what(), ": changed meanwhile"));
      }
      if (answers != nullptr) answers->push_back(std::move(message));
    }
  }
}

absl::StatusOr<std::vector<std::string>> Netlink::Dump(Request& request) {
  absl::Status status;
  for (int i = 0; i < kMaxDumps; ++i) {
    std::vector<std::string> answers;
    status = Talk(request, &answers);
    if (status.ok()) return answers;
    if (!absl::IsAborted(status)) break;
  }
  return status;
}

absl::StatusOr<std::vector<Link>> Netlink::ListLinks() {
  Request request(RTM_GETLINK, NLM_F_DUMP, "list links");
  request.Header(ifinfomsg{.ifi_family = AF_UNSPEC});
  ASSIGN_OR_RETURN(std::vector<std::string> answers, Dump(request));
  std::vector<Link> links;
  for (const std::string& answer : answers) {
    ifinfomsg info;
    if (ReadHeader(answer, &info)) links.push_back(ParseLink(answer, info));
  }
  return links;
}

absl::StatusOr<Link> Netlink::GetLink(absl::string_view name) {
  Request request(RTM_GETLINK, NLM_F_ACK, absl::StrCat("get link ", name));
  request.Header(ifinfomsg{.ifi_family = AF_UNSPEC});
  request.Add(IFLA_IFNAME, name);
  std::vector<std::string> answers;
  absl::Status status = Talk(request, &answers);
  ifinfomsg info;
  if (status.code() == absl::StatusCode::kNotFound ||
      absl::StrContains(status.message(), std::strerror(ENODEV))) {
    return absl::NotFoundError(absl::StrCat("get link ", name, ": no such"));
  }
  RETURN_IF_ERROR(status);
  if (answers.empty() || !ReadHeader(answers[0], &info)) {
    return absl::InternalError(absl::StrCat("get link ", name, ": no answer"));
  }
  return ParseLink(answers[0], info);
}

absl::Status Netlink::AddBridge(const BridgeOptions& options) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                  absl::StrCat("add bridge ", options.name));
  request.Header(ifinfomsg{.ifi_family = AF_UNSPEC});
  request.Add(IFLA_IFNAME, options.name);
  request.Add(IFLA_ADDRESS, options.mac);
  request.Add(IFLA_MTU, options.mtu);
  request.Nest(IFLA_LINKINFO, [&] {
    request.Add(IFLA_INFO_KIND, absl::string_view("bridge"));
    request.Nest(IFLA_INFO_DATA, [&] {
      request.Add(IFLA_BR_FORWARD_DELAY, uint32_t{0});
      request.Add8(IFLA_BR_MCAST_SNOOPING, 0);
    });
  });
  return Talk(request);
}

absl::Status Netlink::AddVeth(const VethOptions& options) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                  absl::StrCat("add veth ", options.name));
  request.Header(ifinfomsg{.ifi_family = AF_UNSPEC});
  request.Add(IFLA_IFNAME, options.name);
  request.Add(IFLA_MTU, options.mtu);
  if (options.mac) request.Add(IFLA_ADDRESS, *options.mac);
  if (options.master) {
    request.Add(IFLA_MASTER, static_cast<uint32_t>(options.master));
  }
  request.Nest(IFLA_LINKINFO, [&] {
    request.Add(IFLA_INFO_KIND, absl::string_view("veth"));
    request.Nest(IFLA_INFO_DATA, [&] {
      request.Nest(VETH_INFO_PEER, [&] {
        request.Header(ifinfomsg{.ifi_family = AF_UNSPEC});
        request.Add(IFLA_IFNAME, options.peer_name);
        request.Add(IFLA_MTU, options.mtu);
        if (options.peer_mac) request.Add(IFLA_ADDRESS, *options.peer_mac);
        request.Add(IFLA_NET_NS_FD,
                    static_cast<uint32_t>(options.peer_netns_fd));
      });
    });
  });
  return Talk(request);
}

absl::Status Netlink::ChangeLink(int index, const LinkChange& change) {
  Request request(RTM_NEWLINK, NLM_F_ACK, absl::StrCat("change link ", index));
  ifinfomsg info{.ifi_family = AF_UNSPEC};
  info.ifi_index = index;
  if (change.up) {
    info.ifi_change = IFF_UP;
    info.ifi_flags = *change.up ? IFF_UP : 0;
  }
  request.Header(info);
  if (change.name) request.Add(IFLA_IFNAME, absl::string_view(*change.name));
  if (change.alias) request.Add(IFLA_IFALIAS, absl::string_view(*change.alias));
  if (change.mac) request.Add(IFLA_ADDRESS, *change.mac);
  if (change.master) {
    request.Add(IFLA_MASTER, static_cast<uint32_t>(*change.master));
  }
  if (change.locked_port) {
    // IFLA_PROTINFO is passed over without a word in this request.
    request.Nest(IFLA_LINKINFO, [&] {
      request.Add(IFLA_INFO_SLAVE_KIND, absl::string_view("bridge"));
      request.Nest(IFLA_INFO_SLAVE_DATA, [&] {
        request.Add8(IFLA_BRPORT_LEARNING, 0);
        request.Add8(IFLA_BRPORT_UNICAST_FLOOD, 0);
      });
    });
  }
  return Talk(request);
}

absl::Status Netlink::DeleteLink(int index) {
  Request request(RTM_DELLINK, NLM_F_ACK, absl::StrCat("delete link ", index));
  ifinfomsg info{.ifi_family = AF_UNSPEC};
  info.ifi_index = index;
  request.Header(info);
  absl::Status status = Talk(request);
  if (absl::StrContains(status.message(), std::strerror(ENODEV))) {
    return absl::OkStatus();
  }
  return status;
}

std::string FormatMac(const MacAddress& mac) {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                         mac[2], mac[3], mac[4], mac[5]);
}

}  // namespace bulwark::os
