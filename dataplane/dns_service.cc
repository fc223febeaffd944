#include "dataplane/dns_service.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::dataplane {
namespace {

using lb::SocketKey;

constexpr uint16_t kDnsPort = 53;

SocketKey KeyOf(const std::string& address, SocketKey::Protocol protocol) {
  return {SocketKey::Place::kDataplane, protocol, address, kDnsPort};
}

netmesh::DnsOptions Options(lb::KeeperClient& keeper) {
  netmesh::DnsOptions options;
  options.open_upstream = [&keeper](int domain, int type) {
    return keeper.NewSocket(SocketKey::Place::kHost,
                            (type & SOCK_DGRAM) == SOCK_DGRAM
                                ? SocketKey::Protocol::kUdp
                                : SocketKey::Protocol::kTcp,
                            domain == AF_INET6);
  };
  return options;
}

// The server owns its descriptors, and the keeper's client keeps its own.
absl::StatusOr<UniqueFd> OpenOne(lb::KeeperClient& keeper,
                                 const SocketKey& key) {
  ASSIGN_OR_RETURN(std::shared_ptr<const lb::SocketGroup> group,
                   keeper.Open(key, 1));
  UniqueFd copy(fcntl(group->at(0).get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.ok()) return ErrnoStatus("copy socket of", key.address);
  return copy;
}

}  // namespace

DnsService::DnsService(lb::KeeperClient& keeper, Clock& clock, Entropy& entropy)
    : keeper_(keeper), server_(Options(keeper), clock, entropy) {}

absl::Status DnsService::OpenView(const std::string& address) {
  netmesh::DnsSockets sockets;
  sockets.listen_address = address;
  ASSIGN_OR_RETURN(sockets.udp,
                   OpenOne(keeper_, KeyOf(address, SocketKey::Protocol::kUdp)));
  ASSIGN_OR_RETURN(sockets.tcp,
                   OpenOne(keeper_, KeyOf(address, SocketKey::Protocol::kTcp)));
  server_.AddSockets(std::move(sockets));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SocketKey>> DnsService::Apply(
    const v1::Snapshot& snapshot, std::vector<v1::ListenerError>& errors) {
  RETURN_IF_ERROR(
      server_.Update(snapshot.dns_views(), snapshot.dns_upstreams()));
  std::set<std::string> wanted;
  for (const v1::DnsView& view : snapshot.dns_views()) {
    wanted.insert(view.listen_address());
  }
  for (auto it = open_.begin(); it != open_.end();) {
    if (wanted.count(*it) == 0) {
      server_.RemoveSockets(*it);
      it = open_.erase(it);
    } else {
      ++it;
    }
  }
  std::vector<SocketKey> keys;
  for (const std::string& address : wanted) {
    if (open_.count(address) == 0) {
      if (absl::Status s = OpenView(address); !s.ok()) {
        v1::ListenerError& error = errors.emplace_back();
        error.set_key(absl::StrCat("dns@", address));
        error.set_error_number(lb::SocketErrno(s));
        error.set_message(std::string(s.message()));
        continue;
      }
      open_.insert(address);
    }
    keys.push_back(KeyOf(address, SocketKey::Protocol::kUdp));
    keys.push_back(KeyOf(address, SocketKey::Protocol::kTcp));
  }
  return keys;
}

}  // namespace bulwark::dataplane
