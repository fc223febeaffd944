// The endpoints of one pool in one version of the configuration.
#ifndef LB_BACKEND_SET_H_
#define LB_BACKEND_SET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lb/socket_address.h"
#include "lb/target_state.h"

namespace bulwark::lb {

// One endpoint's live numbers. Outlives configuration versions: the same id and
// address in the next version is the same object. Thread-safe.
struct Endpoint {
  Endpoint(std::string endpoint_id, const SocketAddress& where)
      : id(std::move(endpoint_id)), address(where) {}

  const std::string id;
  const SocketAddress address;
  // Connections that are connecting or established.
  std::atomic<uint64_t> active = 0;
  std::atomic<uint64_t> connections_total = 0;
  std::atomic<uint64_t> connect_failures_total = 0;
  // From the client, and to the client.
  std::atomic<uint64_t> bytes_in_total = 0;
  std::atomic<uint64_t> bytes_out_total = 0;
  // That the connections of connections_total took to connect.
  std::atomic<uint64_t> connect_nanoseconds_total = 0;
  TargetState target;
};

enum class EndpointState { kReady, kDraining, kClosed };

struct Backend {
  std::shared_ptr<Endpoint> endpoint;
  EndpointState state = EndpointState::kReady;
  // 1 to 256.
  uint32_t weight = 1;
};

// Immutable; what its endpoints count is not.
class BackendSet {
 public:
  BackendSet() = default;
  explicit BackendSet(std::vector<Backend> backends);

  const std::vector<Backend>& all() const { return all_; }
  // Those in state READY, ejected ones too.
  const std::vector<Backend>& ready() const { return ready_; }

  // How `endpoint` stands here; null if it is not of this set.
  const Backend* Find(const Endpoint* endpoint) const;

  // Counts a failed connect, and ejects the endpoint if it is due and not the
  // last that is neither ejected nor draining. True if it was ejected now.
  bool ReportFailure(Endpoint& endpoint, int64_t now_ns) const;

 private:
  std::vector<Backend> all_;
  std::vector<Backend> ready_;
};

}  // namespace bulwark::lb

#endif  // LB_BACKEND_SET_H_
