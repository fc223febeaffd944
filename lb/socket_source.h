// Where listening sockets come from.
#ifndef LB_SOCKET_SOURCE_H_
#define LB_SOCKET_SOURCE_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::lb {

// What makes a listening socket the same socket.
struct SocketKey {
  enum class Place { kHost = 1, kDataplane = 2 };
  enum class Protocol { kTcp = 1, kUdp = 2 };

  Place place = Place::kHost;
  Protocol protocol = Protocol::kTcp;
  std::string address;
  uint16_t port = 0;

  auto operator<=>(const SocketKey&) const = default;
};

// The SO_REUSEPORT sockets of one address: one for each worker.
using SocketGroup = std::vector<UniqueFd>;

// Thread-compatible. The sockets outlive us: whoever opens the same key after
// our death gets the same sockets, with the connections that queue there.
class SocketSource {
 public:
  virtual ~SocketSource() = default;

  // Opens or finds `count` sockets, non-blocking and listening. A failed call
  // of the kernel carries its errno as payload (see SocketErrno).
  virtual absl::StatusOr<std::shared_ptr<const SocketGroup>> Open(
      const SocketKey& key, int count) = 0;

  // Closes all but `keys`.
  virtual absl::Status Retain(const std::vector<SocketKey>& keys) = 0;
};

// An errno carried by a status, so that it survives as a number.
absl::Status WithSocketErrno(absl::Status status, int error_number);
// The errno of `status`; EIO if it has none.
int SocketErrno(const absl::Status& status);

}  // namespace bulwark::lb

#endif  // LB_SOCKET_SOURCE_H_
