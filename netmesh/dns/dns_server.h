// The containers' DNS server: answers for the names of services and forwards
// the rest.
#ifndef NETMESH_DNS_DNS_SERVER_H_
#define NETMESH_DNS_DNS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/unique_fd.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::netmesh {

// The two sockets of one view, bound to the same address: a UDP socket and a
// listening TCP socket.
struct DnsSockets {
  std::string listen_address;  // DnsView.listen_address
  UniqueFd udp;
  UniqueFd tcp;
};

struct DnsOptions {
  // Names below it never leave the host.
  std::string domain = "bulwark.internal";
  uint32_t ttl_seconds = 5;
  // Wait for one upstream; then the next is asked, once.
  absl::Duration upstream_timeout = absl::Seconds(2);
  // Forwarded queries at a time; more get SERVFAIL.
  int max_forwarded = 512;
  // Clients' TCP connections at a time; more are closed at once.
  int max_connections = 256;
  absl::Duration idle_timeout = absl::Seconds(10);
  // Makes the sockets towards upstreams (non-blocking, close-on-exec); empty:
  // socket(2), in the namespace that the server's thread was started in.
  std::function<absl::StatusOr<UniqueFd>(int domain, int type)> open_upstream;
};

struct DnsStats {
  uint64_t queries = 0;
  uint64_t answered = 0;  // from our own records, negative answers included
  uint64_t forwarded = 0;
  uint64_t forward_failures = 0;  // SERVFAIL, for want of an upstream's answer
  uint64_t malformed = 0;
};

// One thread with epoll. Answers A, AAAA, SRV and PTR from the records with
// TTL 5; a name without the asked type is NODATA; an unknown name below the
// domain, or of a single label, is NXDOMAIN; everything else goes to the
// upstreams. UDP answers take at most 1232 bytes (512 without EDNS), longer
// ones set TC. Answers to a name with several addresses rotate.
//
// Thread-safe. `clock` and `entropy` outlive it.
class DnsServer {
 public:
  DnsServer(DnsOptions options, Clock& clock, Entropy& entropy);
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;
  ~DnsServer();

  // Starts the thread. Call once, first.
  absl::Status Start();

  // Replaces all views and upstreams at once; queries that were received
  // before may still see the old ones. A view without sockets waits for them;
  // sockets without a view answer REFUSED. INVALID_ARGUMENT (nothing changed)
  // names the record or upstream that is malformed.
  absl::Status Update(
      const google::protobuf::RepeatedPtrField<dataplane::v1::DnsView>& views,
      const google::protobuf::RepeatedPtrField<std::string>& upstreams);

  // Takes over the sockets of one address, in place of earlier ones. They are
  // made non-blocking.
  void AddSockets(DnsSockets sockets);
  // Closes the sockets of an address. OK if there are none.
  void RemoveSockets(absl::string_view listen_address);
  std::vector<std::string> ListenAddresses();

  // Opens both sockets of `address` in the calling thread's namespace.
  static absl::StatusOr<DnsSockets> OpenSockets(absl::string_view address,
                                                uint16_t port = 53);

  DnsStats Stats();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_DNS_DNS_SERVER_H_
