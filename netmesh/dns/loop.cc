#include "netmesh/dns/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::netmesh {
namespace {

using dns::Answer;
using dns::EmptyAnswer;
using dns::ParseResult;
using dns::Query;

// Packets of one UDP socket in a row, so that the others get their turn.
constexpr int kUdpBatch = 64;
// Forwarded queries of one connection at a time, and bytes not yet read by it.
constexpr int kMaxAskedPerConnection = 32;
constexpr size_t kMaxUnread = 256 << 10;
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

void SetNonBlocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

DnsServer::Loop::~Loop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (poller_ != nullptr) poller_->Wake();
  if (thread_.joinable()) thread_.join();
  // Their callbacks use the connections; the poller goes last.
  forwarder_.reset();
}

absl::Status DnsServer::Loop::Start() {
  ASSIGN_OR_RETURN(poller_, dns::Poller::Make(clock_));
  forwarder_ = std::make_unique<dns::Forwarder>(
      dns::Forwarder::Options{options_.upstream_timeout, options_.max_forwarded,
                              options_.open_upstream},
      *poller_, clock_, entropy_);
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void DnsServer::Loop::Run() {
  while (true) {
    std::vector<absl::AnyInvocable<void()>> tasks;
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return;
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
    if (absl::Status status = poller_->Poll(); !status.ok()) {
      LOG_ERROR("dns server cannot wait for sockets", {{"error", status}});
      clock_.Sleep(absl::Milliseconds(100));
    }
  }
}

void DnsServer::Loop::Post(absl::AnyInvocable<void()> task) {
  absl::MutexLock lock(&mu_);
  tasks_.push_back(std::move(task));
  if (poller_ != nullptr) poller_->Wake();
}

void DnsServer::Loop::SetConfig(std::shared_ptr<const DnsConfig> config) {
  absl::MutexLock lock(&mu_);
  config_ = std::move(config);
}

std::shared_ptr<const DnsConfig> DnsServer::Loop::Config() {
  absl::MutexLock lock(&mu_);
  return config_;
}

void DnsServer::Loop::AddSockets(DnsSockets sockets) {
  const std::string address = sockets.listen_address;
  {
    absl::MutexLock lock(&mu_);
    if (std::find(addresses_.begin(), addresses_.end(), address) ==
        addresses_.end()) {
      addresses_.push_back(address);
    }
  }
  Post([this, s = std::move(sockets)]() mutable {
    CloseListener(s.listen_address);
    OpenListener(std::move(s));
  });
}

void DnsServer::Loop::RemoveSockets(const std::string& address) {
  {
    absl::MutexLock lock(&mu_);
    addresses_.erase(std::remove(addresses_.begin(), addresses_.end(), address),
                     addresses_.end());
  }
  Post([this, address] { CloseListener(address); });
}

std::vector<std::string> DnsServer::Loop::ListenAddresses() {
  absl::MutexLock lock(&mu_);
  return addresses_;
}

DnsStats DnsServer::Loop::Stats() {
  return {queries_, answered_, forwarded_, forward_failures_, malformed_};
}

void DnsServer::Loop::OpenListener(DnsSockets sockets) {
  const std::string address = sockets.listen_address;
  SetNonBlocking(sockets.udp.get());
  SetNonBlocking(sockets.tcp.get());
  Listener& listener = listeners_[address];
  listener.sockets = std::move(sockets);
  auto udp = poller_->Add(listener.sockets.udp.get(), EPOLLIN,
                          [this, address](uint32_t) { OnUdp(address); });
  auto tcp = poller_->Add(listener.sockets.tcp.get(), EPOLLIN,
                          [this, address](uint32_t) { OnAccept(address); });
  if (udp.ok()) listener.udp = *udp;
  if (tcp.ok()) listener.tcp = *tcp;
  absl::Status status = udp.status();
  status.Update(tcp.status());
  if (!status.ok()) {
    LOG_ERROR("dns server cannot listen",
              {{"address", address}, {"error", status}});
  }
}

void DnsServer::Loop::CloseListener(const std::string& address) {
  auto it = listeners_.find(address);
  if (it == listeners_.end()) return;
  poller_->Remove(it->second.udp);
  poller_->Remove(it->second.tcp);
  listeners_.erase(it);
}

void DnsServer::Loop::OnUdp(const std::string& address) {
  char buffer[dns::kMaxMessage];
  for (int i = 0; i < kUdpBatch; ++i) {
    auto it = listeners_.find(address);
    if (it == listeners_.end()) return;
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    ssize_t n = recvfrom(it->second.sockets.udp.get(), buffer, sizeof(buffer),
                         0, reinterpret_cast<sockaddr*>(&peer), &size);
    // Anything but EAGAIN is an earlier answer's error (ICMP): go on.
    if (n < 0 && WouldBlock()) return;
    if (n < 0) continue;
    Handle(address, absl::string_view(buffer, static_cast<size_t>(n)), false,
           [this, address, peer, size](std::string answer) {
             auto listener = listeners_.find(address);
             if (listener == listeners_.end()) return;
             // A full buffer drops it, as the network might; clients retry.
             sendto(listener->second.sockets.udp.get(), answer.data(),
                    answer.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&peer), size);
           });
  }
}

bool DnsServer::Loop::Handle(const std::string& view, absl::string_view packet,
                             bool tcp, Reply reply) {
  ++queries_;
  Query query;
  switch (dns::ParseQuery(packet, &query)) {
    case ParseResult::kDrop:
      ++malformed_;
      return false;
    case ParseResult::kFormErr:
      ++malformed_;
      query.question_end = dns::kHeaderSize;
      query.edns = false;
      reply(EmptyAnswer(packet, query, dns::kFormErr));
      return true;
    case ParseResult::kNotImp:
      query.question_end = dns::kHeaderSize;
      reply(EmptyAnswer(packet, query, dns::kNotImp));
      return true;
    case ParseResult::kOk:
      break;
  }
  std::shared_ptr<const DnsConfig> config = Config();
  const dns::Zone* zone = nullptr;
  if (config != nullptr) {
    auto it = config->zones.find(view);
    if (it != config->zones.end()) zone = &it->second;
  }
  if (query.edns && query.edns_version > 0) {
    reply(EmptyAnswer(packet, query, dns::kBadVers));
    return true;
  }
  if (zone == nullptr ||
      (query.klass != dns::kClassIn && query.klass != dns::kAny)) {
    reply(EmptyAnswer(packet, query, dns::kRefused));
    return true;
  }
  if (zone->IsForeign(query)) {
    Forward(packet, query, config->upstreams, tcp, std::move(reply));
    return true;
  }
  ++answered_;
  const size_t limit = tcp ? dns::kMaxMessage : query.UdpLimit();
  // A random turn: clients ask for A and AAAA in pairs, so that counting would
  // always show an even number of addresses the same way round.
  reply(zone->Resolve(packet, query, limit, entropy_.Next()));
  return true;
}

void DnsServer::Loop::Forward(absl::string_view packet, const Query& query,
                              std::shared_ptr<const dns::Upstreams> upstreams,
                              bool tcp, Reply reply) {
  ++forwarded_;
  const size_t limit = tcp ? dns::kMaxMessage : query.UdpLimit();
  forwarder_->Ask(packet, query, std::move(upstreams), tcp,
                  [this, request = std::string(packet), query, limit,
                   reply = std::move(reply)](std::string answer) mutable {
                    if (answer.empty()) {
                      ++forward_failures_;
                      answer = EmptyAnswer(request, query, dns::kServFail);
                    } else if (answer.size() > limit) {
                      answer =
                          EmptyAnswer(request, query, dns::kNoError, dns::kTc);
                    }
                    reply(std::move(answer));
                  });
}

void DnsServer::Loop::OnAccept(const std::string& address) {
  auto it = listeners_.find(address);
  if (it == listeners_.end()) return;
  while (true) {
    UniqueFd fd(accept4(it->second.sockets.tcp.get(), nullptr, nullptr,
                        SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.ok() && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!fd.ok()) {
      // Out of descriptors: look again later instead of all the time.
      const bool pause = !WouldBlock();
      poller_->Change(it->second.tcp, pause ? 0u : EPOLLIN).IgnoreError();
      poller_->SetDeadline(it->second.tcp, pause
                                               ? clock_.Steady() + kAcceptPause
                                               : absl::InfiniteDuration());
      return;
    }
    if (connections_.size() >= static_cast<size_t>(options_.max_connections)) {
      continue;
    }
    const uint64_t id = next_connection_++;
    auto connection = std::make_unique<Connection>();
    connection->view = address;
    connection->fd = std::move(fd);
    auto token =
        poller_->Add(connection->fd.get(), EPOLLIN,
                     [this, id](uint32_t events) { OnConnection(id, events); });
    if (!token.ok()) continue;
    connection->token = *token;
    poller_->SetDeadline(*token, clock_.Steady() + options_.idle_timeout);
    connections_.emplace(id, std::move(connection));
  }
}

void DnsServer::Loop::OnConnection(uint64_t id, uint32_t events) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  Connection& connection = *it->second;
  if (events == 0 || (events & (EPOLLERR | EPOLLHUP))) {
    return CloseConnection(id);
  }
  if ((events & EPOLLOUT) && !FlushConnection(id, connection)) return;
  if (events & EPOLLIN) ReadConnection(id, connection);
}

bool DnsServer::Loop::ReadConnection(uint64_t id, Connection& connection) {
  char buffer[16 << 10];
  ssize_t n = recv(connection.fd.get(), buffer, sizeof(buffer), 0);
  if (n < 0 && (WouldBlock() || errno == EINTR)) return true;
  if (n < 0) {
    CloseConnection(id);
    return false;
  }
  if (n > 0) {
    poller_->SetDeadline(connection.token,
                         clock_.Steady() + options_.idle_timeout);
    connection.in.append(buffer, static_cast<size_t>(n));
  }
  size_t at = 0;
  while (connection.in.size() - at >= 2) {
    size_t size = dns::Read16(connection.in, at);
    if (connection.in.size() - at - 2 < size) break;
    if (connection.asked >= kMaxAskedPerConnection ||
        connection.out.size() > kMaxUnread) {
      CloseConnection(id);
      return false;
    }
    std::string packet = connection.in.substr(at + 2, size);
    at += 2 + size;
    ++connection.asked;
    bool sane =
        Handle(connection.view, packet, true, [this, id](std::string answer) {
          AnswerConnection(id, std::move(answer));
        });
    // The answer may have closed it.
    if (!connections_.contains(id)) return false;
    if (!sane) {
      CloseConnection(id);
      return false;
    }
  }
  connection.in.erase(0, at);
  connection.closing = n == 0;
  return FlushConnection(id, connection);
}

void DnsServer::Loop::AnswerConnection(uint64_t id, std::string answer) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  Connection& connection = *it->second;
  --connection.asked;
  std::string length(2, '\0');
  dns::Write16(&length, 0, static_cast<uint16_t>(answer.size()));
  connection.out += length + answer;
  FlushConnection(id, connection);
}

bool DnsServer::Loop::FlushConnection(uint64_t id, Connection& connection) {
  while (!connection.out.empty()) {
    ssize_t n = send(connection.fd.get(), connection.out.data(),
                     connection.out.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && WouldBlock()) break;
    if (n < 0) {
      CloseConnection(id);
      return false;
    }
    connection.out.erase(0, static_cast<size_t>(n));
  }
  if (connection.closing && connection.out.empty() && connection.asked <= 0) {
    CloseConnection(id);
    return false;
  }
  uint32_t events = connection.closing ? 0u : EPOLLIN;
  if (!connection.out.empty()) events |= EPOLLOUT;
  if (!poller_->Change(connection.token, events).ok()) {
    CloseConnection(id);
    return false;
  }
  return true;
}

void DnsServer::Loop::CloseConnection(uint64_t id) {
  auto it = connections_.find(id);
  if (it == connections_.end()) return;
  poller_->Remove(it->second->token);
  connections_.erase(it);
}

}  // namespace bulwark::netmesh
