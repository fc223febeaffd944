#include "netmesh/dns/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "netmesh/dns/forwarder.h"
#include "netmesh/dns/loop.h"
#include "netmesh/dns/zone.h"

namespace bulwark::netmesh {
namespace {

constexpr int kBacklog = 128;

absl::StatusOr<UniqueFd> OpenBound(const dns::Upstream& address, int type,
                                   absl::string_view name) {
  UniqueFd fd(socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return ErrnoStatus("open", "socket");
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.address),
           address.size) != 0) {
    return ErrnoStatus("bind", name);
  }
  if (type == SOCK_STREAM && listen(fd.get(), kBacklog) != 0) {
    return ErrnoStatus("listen on", name);
  }
  return fd;
}

}  // namespace

DnsServer::DnsServer(DnsOptions options, Clock& clock, Entropy& entropy)
    : loop_(std::make_unique<Loop>(std::move(options), clock, entropy)) {}

DnsServer::~DnsServer() = default;

absl::Status DnsServer::Start() { return loop_->Start(); }

absl::Status DnsServer::Update(
    const google::protobuf::RepeatedPtrField<dataplane::v1::DnsView>& views,
    const google::protobuf::RepeatedPtrField<std::string>& upstreams) {
  const dns::ZoneOptions options{loop_->options().domain,
                                 loop_->options().ttl_seconds};
  auto config = std::make_shared<DnsConfig>();
  for (const dataplane::v1::DnsView& view : views) {
    ASSIGN_OR_RETURN(dns::Zone zone, dns::Zone::Build(view, options));
    if (!config->zones.emplace(view.listen_address(), std::move(zone)).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "dns: two views listen on \"", view.listen_address(), "\""));
    }
  }
  dns::Upstreams parsed;
  for (const std::string& text : upstreams) {
    ASSIGN_OR_RETURN(dns::Upstream upstream, dns::ParseUpstream(text));
    parsed.push_back(upstream);
  }
  config->upstreams = std::make_shared<const dns::Upstreams>(std::move(parsed));
  loop_->SetConfig(std::move(config));
  return absl::OkStatus();
}

void DnsServer::AddSockets(DnsSockets sockets) {
  loop_->AddSockets(std::move(sockets));
}

void DnsServer::RemoveSockets(absl::string_view listen_address) {
  loop_->RemoveSockets(std::string(listen_address));
}

std::vector<std::string> DnsServer::ListenAddresses() {
  return loop_->ListenAddresses();
}

absl::StatusOr<DnsSockets> DnsServer::OpenSockets(absl::string_view address,
                                                  uint16_t port) {
  const bool six = absl::StrContains(address, ":");
  const std::string name = six ? absl::StrCat("[", address, "]:", port)
                               : absl::StrCat(address, ":", port);
  DnsSockets sockets;
  sockets.listen_address = std::string(address);
  // Any port is good for TCP if the caller does not care; UDP takes the same.
  const bool any = port == 0;
  ASSIGN_OR_RETURN(
      dns::Upstream where,
      dns::ParseUpstream(
          any ? absl::StrCat(six ? "[" : "", address, six ? "]" : "", ":1")
              : name));
  auto* in = reinterpret_cast<sockaddr_in*>(&where.address);
  if (any) in->sin_port = 0;  // at the same place in sockaddr_in6
  ASSIGN_OR_RETURN(sockets.tcp, OpenBound(where, SOCK_STREAM, name));
  if (getsockname(sockets.tcp.get(),
                  reinterpret_cast<sockaddr*>(&where.address),
                  &where.size) != 0) {
    return ErrnoStatus("look at", name);
  }
  ASSIGN_OR_RETURN(sockets.udp, OpenBound(where, SOCK_DGRAM, name));
  return sockets;
}

DnsStats DnsServer::Stats() { return loop_->Stats(); }

}  // namespace bulwark::netmesh
