// Questions to the upstream servers.
#ifndef NETMESH_DNS_FORWARDER_H_
#define NETMESH_DNS_FORWARDER_H_

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/entropy.h"
#include "base/unique_fd.h"
#include "netmesh/dns/message.h"
#include "netmesh/dns/poller.h"

namespace bulwark::netmesh::dns {

struct Upstream {
  sockaddr_storage address{};
  socklen_t size = 0;
  int family() const { return address.ss_family; }
};
using Upstreams = std::vector<Upstream>;

// "10.0.0.53", "10.0.0.53:5353", "fd00::1", "[fd00::1]:5353".
absl::StatusOr<Upstream> ParseUpstream(absl::string_view text);

// Thread-compatible; lives on the poller's thread and dies before it.
class Forwarder {
 public:
  struct Options {
    absl::Duration timeout = absl::Seconds(2);
    int max_in_flight = 512;
    std::function<absl::StatusOr<UniqueFd>(int domain, int type)> open;
  };
  // The whole answer with the client's id, or empty: no upstream answered.
  using Done = absl::AnyInvocable<void(std::string answer)>;

  Forwarder(Options options, Poller& poller, Clock& clock, Entropy& entropy)
      : options_(std::move(options)),
        poller_(poller),
        clock_(clock),
        entropy_(entropy) {}
  ~Forwarder();

  // Asks by `tcp` or UDP: one upstream, then the next one, once. Each attempt
  // has a random id and a random port. `done` is called exactly once, maybe at
  // once, unless the forwarder dies first.
  void Ask(absl::string_view packet, const Query& query,
           std::shared_ptr<const Upstreams> upstreams, bool tcp, Done done);

 private:
  struct Flight {
    std::string packet;  // with our id
    uint16_t client_id = 0;
    size_t question_end = 0;
    bool tcp = false;
    std::shared_ptr<const Upstreams> upstreams;
    size_t first = 0;  // index of the upstream asked first
    int attempts = 0;
    UniqueFd fd;
    Poller::Token token = 0;
    std::string out;          // TCP: not yet sent
    std::string in;           // TCP: received so far
    std::string last_resort;  // an upstream's SERVFAIL or REFUSED
    Done done;
  };

  void Attempt(uint64_t id);
  absl::Status Send(uint64_t id, Flight& flight, const Upstream& upstream);
  void OnEvent(uint64_t id, uint32_t events);
  // Each returns the answer, empty if there is none yet; an error ends the
  // attempt.
  absl::StatusOr<std::string> ReadUdp(Flight& flight);
  absl::StatusOr<std::string> ReadTcp(Flight& flight);
  absl::Status FlushTcp(Flight& flight);
  void CloseSocket(Flight& flight);
  void Finish(uint64_t id, std::string answer);

  Options options_;
  Poller& poller_;
  Clock& clock_;
  Entropy& entropy_;
  uint64_t next_ = 1;
  uint64_t turn_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Flight>> flights_;
};

}  // namespace bulwark::netmesh::dns

#endif  // NETMESH_DNS_FORWARDER_H_
