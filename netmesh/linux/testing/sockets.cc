#include "netmesh/linux/testing/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/ip_icmp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "base/check.h"
#include "os/ip_address.h"

namespace bulwark::netmesh::testing {
namespace {

constexpr int kPatienceMillis = 3000;

bool Wait(int fd, short events, int millis) {
  pollfd p{fd, events, 0};
  return poll(&p, 1, millis) == 1;
}

// Connects; the errno, or 0.
int Start(int fd, const Address& to, int patience_millis) {
  if (connect(fd, to.get(), to.size()) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!Wait(fd, POLLOUT, patience_millis)) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

Address::Address(absl::string_view text, uint16_t port) {
  os::IpAddress address = os::IpAddress::Parse(text).value();
  if (address.family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage_);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, address.bytes.data(), 4);
    size_ = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&storage_);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, address.bytes.data(), 16);
    size_ = sizeof(*in);
  }
}

UniqueFd SocketIn(os::NetnsWorker& worker, int netns, int family, int type,
                  int protocol) {
  UniqueFd fd;
  absl::Status status = worker.Run(netns, [&] {
    fd.Reset(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(fd.ok()) << std::strerror(errno);
  return fd;
}

Listener::Listener(os::NetnsWorker& worker, int netns,
                   absl::string_view address, uint16_t port) {
  Address where(address, port);
  fd_ = SocketIn(worker, netns, where.family(), SOCK_STREAM);
  int on = 1;
  setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  EXPECT_EQ(bind(fd_.get(), where.get(), where.size()), 0)
      << address << ": " << std::strerror(errno);
  EXPECT_EQ(listen(fd_.get(), 16), 0);
}

UniqueFd Listener::Accept() {
  EXPECT_TRUE(Wait(fd_.get(), POLLIN, kPatienceMillis));
  return UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

std::string Listener::AcceptFrom() {
  UniqueFd client = Accept();
  sockaddr_in peer{};
  socklen_t size = sizeof(peer);
  getpeername(client.get(), reinterpret_cast<sockaddr*>(&peer), &size);
  return os::IpAddress::V4(ntohl(peer.sin_addr.s_addr)).ToString();
}

int Connect(os::NetnsWorker& worker, int netns, absl::string_view address,
            uint16_t port, absl::string_view source, int patience_millis) {
  Address to(address, port);
  UniqueFd fd = SocketIn(worker, netns, to.family(), SOCK_STREAM);
  if (!source.empty()) {
    Address from(source, 0);
    if (bind(fd.get(), from.get(), from.size()) != 0) return errno;
  }
  return Start(fd.get(), to, patience_millis);
}

UniqueFd Connected(os::NetnsWorker& worker, int netns,
                   absl::string_view address, uint16_t port) {
  Address to(address, port);
  UniqueFd fd = SocketIn(worker, netns, to.family(), SOCK_STREAM);
  EXPECT_EQ(Start(fd.get(), to, kPatienceMillis), 0);
  return fd;
}

bool Talk(const UniqueFd& a, const UniqueFd& b) {
  for (auto [from, to] :
       {std::pair(a.get(), b.get()), std::pair(b.get(), a.get())}) {
    char byte = 'x';
    if (send(from, &byte, 1, MSG_NOSIGNAL) != 1) return false;
    if (!Wait(to, POLLIN, kPatienceMillis)) return false;
    if (recv(to, &byte, 1, 0) != 1) return false;
  }
  return true;
}

bool Ping(os::NetnsWorker& worker, int netns, absl::string_view address,
          int patience_millis) {
  UniqueFd fd = SocketIn(worker, netns, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  Address to(address, 0);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  if (sendto(fd.get(), &echo, sizeof(echo), 0, to.get(), to.size()) < 0) {
    return false;
  }
  if (!Wait(fd.get(), POLLIN, patience_millis)) return false;
  icmphdr answer{};
  return recv(fd.get(), &answer, sizeof(answer), 0) > 0 &&
         answer.type == ICMP_ECHOREPLY;
}

}  // namespace bulwark::netmesh::testing
