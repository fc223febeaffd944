// The thread of the DNS server. Internal to dns_server.cc.
#ifndef NETMESH_DNS_LOOP_H_
#define NETMESH_DNS_LOOP_H_

#include <sys/socket.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "netmesh/dns/dns_server.h"
#include "netmesh/dns/forwarder.h"
#include "netmesh/dns/poller.h"
#include "netmesh/dns/zone.h"

namespace bulwark::netmesh {

// What is answered; replaced as a whole.
struct DnsConfig {
  absl::flat_hash_map<std::string, dns::Zone> zones;  // by listen address
  std::shared_ptr<const dns::Upstreams> upstreams;
};

class DnsServer::Loop {
 public:
  Loop(DnsOptions options, Clock& clock, Entropy& entropy)
      : options_(std::move(options)), clock_(clock), entropy_(entropy) {}
  ~Loop();

  absl::Status Start();
  void SetConfig(std::shared_ptr<const DnsConfig> config);
  const DnsOptions& options() const { return options_; }
  void AddSockets(DnsSockets sockets);
  void RemoveSockets(const std::string& address);
  std::vector<std::string> ListenAddresses();
  DnsStats Stats();

 private:
  using Reply = absl::AnyInvocable<void(std::string answer)>;

  // One TCP client. Answers may come out of order (RFC 7766, 7).
  struct Connection {
    UniqueFd fd;
    dns::Poller::Token token = 0;
    std::string view;
    std::string in;
    std::string out;
    int asked = 0;         // forwarded, not answered yet
    bool closing = false;  // the client sends no more
  };
  struct Listener {
    DnsSockets sockets;
    dns::Poller::Token udp = 0;
    dns::Poller::Token tcp = 0;
  };

  void Run();
  // Runs `task` on the thread.
  void Post(absl::AnyInvocable<void()> task);
  std::shared_ptr<const DnsConfig> Config();

  void OpenListener(DnsSockets sockets);
  void CloseListener(const std::string& address);
  void OnUdp(const std::string& address);
  void OnAccept(const std::string& address);
  void OnConnection(uint64_t id, uint32_t events);
  // False: it is closed.
  bool ReadConnection(uint64_t id, Connection& connection);
  bool FlushConnection(uint64_t id, Connection& connection);
  void CloseConnection(uint64_t id);
  void AnswerConnection(uint64_t id, std::string answer);

  // Calls `reply` at once or later. False: the packet deserves none.
  bool Handle(const std::string& view, absl::string_view packet, bool tcp,
              Reply reply);
  void Forward(absl::string_view packet, const dns::Query& query,
               std::shared_ptr<const dns::Upstreams> upstreams, bool tcp,
               Reply reply);

  const DnsOptions options_;
  Clock& clock_;
  Entropy& entropy_;

  std::unique_ptr<dns::Poller> poller_;
  std::unique_ptr<dns::Forwarder> forwarder_;  // dies before poller_
  std::map<std::string, Listener> listeners_;  // the thread's own
  absl::flat_hash_map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const DnsConfig> config_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> addresses_ ABSL_GUARDED_BY(mu_);
  std::atomic<uint64_t> queries_{0}, answered_{0}, forwarded_{0},
      forward_failures_{0}, malformed_{0};
  std::thread thread_;
};

}  // namespace bulwark::netmesh

#endif  // NETMESH_DNS_LOOP_H_
