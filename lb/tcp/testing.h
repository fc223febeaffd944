// Loopback sockets, clients and backends for tests of the data path.
#ifndef LB_TCP_TESTING_H_
#define LB_TCP_TESTING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "lb/socket_source.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::lb::testing {

// Polls `condition` until it holds, at most ten seconds. Returns whether it
// does.
bool Eventually(const std::function<bool()>& condition);

// A listening loopback socket on a free port, blocking, with close-on-exec.
class Backend {
 public:
  // `port` 0: a free one. `backlog` as in listen(2).
  explicit Backend(uint16_t port = 0, int backlog = 1024);

  uint16_t port() const { return port_; }
  // The next connection (blocking reads and writes with a ten second limit);
  // not ok() if none comes within `wait`.
  UniqueFd Accept(absl::Duration wait = absl::Seconds(10));
  // True if a connection waits.
  bool HasConnection(absl::Duration wait);
  // From now on connects are refused.
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

// How many descriptors this process has open.
size_t OpenDescriptors();

// A port of loopback that nobody listens on.
uint16_t FreePort();

// A connected blocking socket with a ten second limit for reads and writes; not
// ok() if the connect fails.
UniqueFd ConnectTo(uint16_t port);

bool WriteString(int fd, const std::string& text);
// Exactly `size` bytes, or less if the stream ends or fails first.
std::string ReadExactly(int fd, size_t size);

enum class End { kData, kClosed, kReset, kTimeout };
// What the next read of one byte gives within `wait`.
End NextEvent(int fd, absl::Duration wait = absl::Seconds(10));
// Makes close(2) send a reset.
void CloseWithReset(UniqueFd& fd);

// Opens sockets in this process.
class LocalSockets final : public SocketSource {
 public:
  absl::StatusOr<std::shared_ptr<const SocketGroup>> Open(const SocketKey& key,
                                                          int count) override;
  absl::Status Retain(const std::vector<SocketKey>& keys) override;
  size_t open_count() const { return groups_.size(); }

 private:
  std::map<SocketKey, std::shared_ptr<const SocketGroup>> groups_;
};

// Builds snapshots of one pool "p" behind one listener "l" on loopback.
class SnapshotBuilder {
 public:
  explicit SnapshotBuilder(uint16_t listen_port);
  // Adds or changes an endpoint.
  SnapshotBuilder& Set(const std::string& id, uint16_t port,
                       dataplane::v1::Endpoint::State state);
  SnapshotBuilder& Ready(const std::string& id, uint16_t port) {
    return Set(id, port, dataplane::v1::Endpoint::READY);
  }
  SnapshotBuilder& Remove(const std::string& id);
  dataplane::v1::Pool& pool() { return *snapshot_.mutable_pools(0); }
  dataplane::v1::Snapshot& raw() { return snapshot_; }
  // With the next version.
  const dataplane::v1::Snapshot& Next();

 private:
  dataplane::v1::Snapshot snapshot_;
};

}  // namespace bulwark::lb::testing

#endif  // LB_TCP_TESTING_H_
