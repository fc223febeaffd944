#include "dataplane/keeper/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lb/tcp/socket_options.h"

namespace bulwark::dataplane {
namespace {

using lb::KeeperRequest;
using Failure = KeptSockets::Failure;

// Values of lb::SocketKey.
constexpr uint32_t kDataplane = 2;
constexpr uint32_t kUdp = 2;
// The kernel cuts it to net.core.somaxconn.
constexpr int kBacklog = 65535;
constexpr unsigned kMaxEntries = 8192;

bool Fail(Failure& failure, const char* step) {
  failure.error = errno != 0 ? errno : EIO;
  failure.step = step;
  return false;
}

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool Parse(const KeptSockets::Entry& entry, Address& address, socklen_t& size) {
  memset(&address, 0, sizeof(address));
  const uint16_t port = htons(static_cast<uint16_t>(entry.port));
  if (inet_pton(AF_INET, entry.address, &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = port;
    size = sizeof(address.v4);
    return true;
  }
  if (inet_pton(AF_INET6, entry.address, &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = port;
    size = sizeof(address.v6);
    return true;
  }
  errno = EINVAL;
  return false;
}

void Set(int fd, int level, int option) {
  const int one = 1;
  setsockopt(fd, level, option, &one, sizeof(one));
}

// A bound socket, or -1. With `shared`, others of the same user may bind the
// same address.
int BindOne(const KeptSockets::Entry& entry, bool shared, Failure& failure) {
  Address address;
  socklen_t size;
  if (!Parse(entry, address, size)) return Fail(failure, "bind"), -1;
  const bool udp = entry.protocol == kUdp;
  const int fd = socket(
      address.any.sa_family,
      (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(failure, "socket"), -1;
  // Not for UDP: there it would let a foreign socket share the port.
  if (!udp) Set(fd, SOL_SOCKET, SO_REUSEADDR);
  if (shared) Set(fd, SOL_SOCKET, SO_REUSEPORT);
  if (address.any.sa_family == AF_INET6) Set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  // A virtual address may be given to its link after us.
  if (entry.place == kDataplane) {
    Set(fd, IPPROTO_IP, IP_FREEBIND);
    if (address.any.sa_family == AF_INET6) {
      Set(fd, IPPROTO_IPV6, IPV6_FREEBIND);
    }
  }
  if (!udp) lb::SetStreamOptions(fd);
  if (bind(fd, &address.any, size) != 0) {
    Fail(failure, "bind");
    close(fd);
    return -1;
  }
  return fd;
}

int OpenOne(const KeptSockets::Entry& entry, Failure& failure) {
  const int fd = BindOne(entry, /*shared=*/true, failure);
  if (fd >= 0 && entry.protocol != kUdp && listen(fd, kBacklog) != 0) {
    Fail(failure, "listen");
    close(fd);
    return -1;
  }
  return fd;
}

// SO_REUSEPORT would share the port with any other process of ours that sets
// it too (a second instance): then half of the connections would be lost to
// either. A socket without it fails where a stranger listens.
bool CheckUnused(const KeptSockets::Entry& entry, Failure& failure) {
  const int fd = BindOne(entry, /*shared=*/false, failure);
  if (fd < 0) return false;
  bool ok = true;
  if (entry.protocol != kUdp && listen(fd, 1) != 0) ok = Fail(failure, "bind");
  close(fd);
  return ok;
}

bool Same(const KeptSockets::Entry& entry, const KeeperRequest& request) {
  return entry.place == request.place && entry.protocol == request.protocol &&
         entry.port == request.port &&
         strncmp(entry.address, request.address, sizeof(entry.address)) == 0;
}

}  // namespace

KeptSockets::Entry* KeptSockets::Find(const KeeperRequest& request) {
  for (unsigned i = 0; i < size_; ++i) {
    if (Same(*entries_[i], request)) return entries_[i];
  }
  return nullptr;
}

KeptSockets::Entry* KeptSockets::Append(const KeeperRequest& request) {
  if (size_ == kMaxEntries) {
    errno = ENOSPC;
    return nullptr;
  }
  void* grown = realloc(entries_, (size_ + 1) * sizeof(Entry*));
  if (grown == nullptr) return nullptr;
  entries_ = static_cast<Entry**>(grown);
  auto* entry = static_cast<Entry*>(calloc(1, sizeof(Entry)));
  if (entry == nullptr) return nullptr;
  entry->place = request.place;
  entry->protocol = request.protocol;
  entry->port = request.port;
  memcpy(entry->address, request.address, sizeof(entry->address) - 1);
  entries_[size_++] = entry;
  return entry;
}

bool KeptSockets::PortIsOurs(const Entry& entry) const {
  for (unsigned i = 0; i < size_; ++i) {
    const Entry& other = *entries_[i];
    if (&other != &entry && other.count > 0 && other.place == entry.place &&
        other.protocol == entry.protocol && other.port == entry.port) {
      return true;
    }
  }
  return false;
}

bool KeptSockets::Fill(Entry& entry, uint32_t count, Failure& failure) {
  if (entry.count == 0 && !PortIsOurs(entry) && !CheckUnused(entry, failure)) {
    return false;
  }
  while (entry.count < count) {
    const int fd = OpenOne(entry, failure);
    if (fd < 0) return false;
    entry.fds[entry.count++] = fd;
  }
  // Fewer workers than before: nobody would accept from the rest.
  while (entry.count > count) close(entry.fds[--entry.count]);
  return true;
}

bool KeptSockets::Enter(uint32_t place, Failure& failure) {
  if (place != kDataplane || dataplane_netns_[0] == '\0') return true;
  const int netns = open(dataplane_netns_, O_RDONLY | O_CLOEXEC);
  const bool ok = netns >= 0 && setns(netns, CLONE_NEWNET) == 0;
  if (!ok) Fail(failure, "enter netns");
  if (netns >= 0) close(netns);
  return ok;
}

void KeptSockets::Leave(uint32_t place) {
  if (place != kDataplane || dataplane_netns_[0] == '\0') return;
  if (setns(host_netns_, CLONE_NEWNET) != 0) abort();
}

int KeptSockets::MakeSocket(const KeeperRequest& request, Failure& failure) {
  if (!Enter(request.place, failure)) return -1;
  const int fd =
      socket(strchr(request.address, ':') != nullptr ? AF_INET6 : AF_INET,
             (request.protocol == kUdp ? SOCK_DGRAM : SOCK_STREAM) |
                 SOCK_NONBLOCK | SOCK_CLOEXEC,
             0);
  if (fd < 0) Fail(failure, "socket");
  Leave(request.place);
  return fd;
}

const KeptSockets::Entry* KeptSockets::Open(const KeeperRequest& request,
                                            Failure& failure) {
  errno = 0;
  if (request.count < 1 || request.count > lb::kKeeperMaxSockets ||
      request.port < 1 || request.port > 65535) {
    errno = EINVAL;
    Fail(failure, "open");
    return nullptr;
  }
  Entry* entry = Find(request);
  if (entry != nullptr && entry->count == request.count) return entry;
  const bool fresh = entry == nullptr;
  if (fresh) entry = Append(request);
  if (entry == nullptr) {
    Fail(failure, "open");
    return nullptr;
  }
  bool ok = Enter(request.place, failure);
  if (ok) {
    ok = Fill(*entry, request.count, failure);
    Leave(request.place);
  }
  if (ok) return entry;
  if (fresh) Remove(size_ - 1);
  return nullptr;
}

bool KeptSockets::Adopt(const KeeperRequest& request, const int* fds,
                        Failure& failure) {
  Entry* entry = Find(request);
  if (entry == nullptr) {
    entry = Append(request);
    if (entry == nullptr) {
      for (uint32_t i = 0; i < request.count; ++i) close(fds[i]);
      return Fail(failure, "adopt");
    }
    entry->count = request.count;
    memcpy(entry->fds, fds, request.count * sizeof(int));
    return true;
  }
  for (uint32_t i = 0; i < request.count; ++i) close(fds[i]);
  return true;
}

void KeptSockets::Begin() {
  for (unsigned i = 0; i < size_; ++i) entries_[i]->wanted = false;
}

void KeptSockets::Keep(const KeeperRequest& request) {
  Entry* entry = Find(request);
  if (entry != nullptr) entry->wanted = true;
}

void KeptSockets::Remove(unsigned index) {
  Entry* entry = entries_[index];
  for (uint32_t i = 0; i < entry->count; ++i) close(entry->fds[i]);
  free(entry);
  entries_[index] = entries_[--size_];
}

void KeptSockets::Commit() {
  for (unsigned i = size_; i > 0; --i) {
    if (!entries_[i - 1]->wanted) Remove(i - 1);
  }
}

void KeptSockets::CloseAll() {
  while (size_ > 0) Remove(size_ - 1);
}

}  // namespace bulwark::dataplane
