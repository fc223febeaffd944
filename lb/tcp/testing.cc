#include "lb/tcp/testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/status.h"
#include "lb/tcp/socket_options.h"

namespace bulwark::lb::testing {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void LimitWaits(int fd) {
  const timeval limit = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

int BoundSocket(uint16_t& port, int flags) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  CHECK(fd >= 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  sockaddr_in address = Loopback(port);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  socklen_t size = sizeof(address);
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return fd;
}

bool Readable(int fd, absl::Duration wait) {
  pollfd waiting = {fd, POLLIN, 0};
  return poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(wait))) >
         0;
}

}  // namespace

bool Eventually(const std::function<bool()>& condition) {
  RealClock clock;
  const absl::Duration deadline = clock.Steady() + absl::Seconds(10);
  while (!condition()) {
    if (clock.Steady() > deadline) return false;
    clock.Sleep(absl::Milliseconds(2));
  }
  return true;
}

Backend::Backend(uint16_t port, int backlog) : port_(port) {
  fd_.Reset(BoundSocket(port_, 0));
  CHECK(listen(fd_.get(), backlog) == 0);
}

bool Backend::HasConnection(absl::Duration wait) {
  return Readable(fd_.get(), wait);
}

UniqueFd Backend::Accept(absl::Duration wait) {
  if (!HasConnection(wait)) return UniqueFd();
  UniqueFd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (fd.ok()) LimitWaits(fd.get());
  return fd;
}

uint16_t FreePort() {
  uint16_t port = 0;
  close(BoundSocket(port, 0));
  return port;
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

UniqueFd ConnectTo(uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(fd.ok());
  LimitWaits(fd.get());
  const sockaddr_in address = Loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return UniqueFd();
  }
  return fd;
}

bool WriteString(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n =
        send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += n;
  }
  return true;
}

std::string ReadExactly(int fd, size_t size) {
  std::string result(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = recv(fd, &result[done], size - done, 0);
    if (n <= 0) break;
    done += n;
  }
  result.resize(done);
  return result;
}

End NextEvent(int fd, absl::Duration wait) {
  if (!Readable(fd, wait)) return End::kTimeout;
  char byte;
  const ssize_t n = recv(fd, &byte, 1, 0);
  if (n > 0) return End::kData;
  return n == 0 ? End::kClosed : End::kReset;
}

void CloseWithReset(UniqueFd& fd) {
  ResetOnClose(fd.get());
  fd.Reset();
}

absl::StatusOr<std::shared_ptr<const SocketGroup>> LocalSockets::Open(
    const SocketKey& key, int count) {
  auto known = groups_.find(key);
  if (known != groups_.end()) return known->second;
  auto group = std::make_shared<SocketGroup>();
  for (int i = 0; i < count; ++i) {
    group->emplace_back(
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int fd = group->back().get();
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    SetStreamOptions(fd);
    const sockaddr_in address = Loopback(key.port);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != 0 ||
        listen(fd, 4096) != 0) {
      return WithSocketErrno(ErrnoStatus("bind", key.address), errno);
    }
  }
  groups_[key] = group;
  return group;
}

absl::Status LocalSockets::Retain(const std::vector<SocketKey>& keys) {
  std::map<SocketKey, std::shared_ptr<const SocketGroup>> kept;
  for (const SocketKey& key : keys) kept[key] = groups_[key];
  groups_ = std::move(kept);
  return absl::OkStatus();
}

SnapshotBuilder::SnapshotBuilder(uint16_t listen_port) {
  dataplane::v1::Listener& listener = *snapshot_.add_listeners();
  listener.set_key("l");
  listener.set_place(dataplane::v1::Listener::HOST);
  listener.set_address("127.0.0.1");
  listener.set_port(listen_port);
  listener.set_protocol(dataplane::v1::TCP);
  listener.set_pool("p");
  snapshot_.add_pools()->set_id("p");
}

SnapshotBuilder& SnapshotBuilder::Set(const std::string& id, uint16_t port,
                                      dataplane::v1::Endpoint::State state) {
  dataplane::v1::Endpoint* found = nullptr;
  for (auto& e : *pool().mutable_endpoints()) {
    if (e.id() == id) found = &e;
  }
  if (found == nullptr) found = pool().add_endpoints();
  found->set_id(id);
  found->set_address("127.0.0.1");
  found->set_port(port);
  found->set_state(state);
  return *this;
}

SnapshotBuilder& SnapshotBuilder::Remove(const std::string& id) {
  auto& endpoints = *pool().mutable_endpoints();
  for (int i = 0; i < endpoints.size(); ++i) {
    if (endpoints[i].id() == id) endpoints.DeleteSubrange(i--, 1);
  }
  return *this;
}

const dataplane::v1::Snapshot& SnapshotBuilder::Next() {
  snapshot_.set_version(snapshot_.version() + 1);
  return snapshot_;
}

}  // namespace bulwark::lb::testing
