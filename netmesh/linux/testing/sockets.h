// Sockets in other network namespaces, for tests.
#ifndef NETMESH_LINUX_TESTING_SOCKETS_H_
#define NETMESH_LINUX_TESTING_SOCKETS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "os/netns.h"

namespace bulwark::netmesh::testing {

// A socket address; the text must be valid.
class Address {
 public:
  Address(absl::string_view text, uint16_t port);
  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage_);
  }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

// `netns` -1 is the worker's home.
UniqueFd SocketIn(os::NetnsWorker& worker, int netns, int family, int type,
                  int protocol = 0);

// Listens for TCP as long as it lives.
class Listener {
 public:
  Listener(os::NetnsWorker& worker, int netns, absl::string_view address,
           uint16_t port);
  // The next connection; waits up to three seconds for it.
  UniqueFd Accept();
  // The address that it came from.
  std::string AcceptFrom();

 private:
  UniqueFd fd_;
};

// 0, or the errno of a TCP connect; ETIMEDOUT after `patience_millis`.
// `source`: bind to that address first, unless empty.
int Connect(os::NetnsWorker& worker, int netns, absl::string_view address,
            uint16_t port, absl::string_view source, int patience_millis);
// An established connection.
UniqueFd Connected(os::NetnsWorker& worker, int netns,
                   absl::string_view address, uint16_t port);
// Whether a byte passes each way.
bool Talk(const UniqueFd& a, const UniqueFd& b);
// ICMP echo over an unprivileged socket.
bool Ping(os::NetnsWorker& worker, int netns, absl::string_view address,
          int patience_millis = 3000);

}  // namespace bulwark::netmesh::testing

#endif  // NETMESH_LINUX_TESTING_SOCKETS_H_
