#include "netmesh/dns/forwarder.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/ip_address.h"

namespace bulwark::netmesh::dns {
namespace {

constexpr int kMaxAttempts = 2;
constexpr uint16_t kDnsPort = 53;

absl::StatusOr<UniqueFd> OpenPlain(int domain, int type) {
  UniqueFd fd(socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return ErrnoStatus("open", "socket");
  return fd;
}

bool IsFailure(absl::string_view answer) {
  uint16_t rcode = Read16(answer, 2) & kRcodeMask;
  return rcode == kServFail || rcode == kRefused;
}

}  // namespace

absl::StatusOr<Upstream> ParseUpstream(absl::string_view text) {
  absl::string_view host = text;
  uint32_t port = kDnsPort;
  bool good = true;
  size_t colon = text.rfind(':');
  if (absl::StartsWith(text, "[")) {
    size_t end = text.find(']');
    good = end != absl::string_view::npos &&
           (end + 1 == text.size() || text[end + 1] == ':');
    if (good) {
      host = text.substr(1, end - 1);
      if (end + 1 < text.size()) {
        good = absl::SimpleAtoi(text.substr(end + 2), &port);
      }
    }
  } else if (colon != absl::string_view::npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    good = absl::SimpleAtoi(text.substr(colon + 1), &port);
  }
  absl::StatusOr<os::IpAddress> address = os::IpAddress::Parse(host);
  if (!good || !address.ok() || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dns upstream \"", text,
        "\" is not ADDRESS or ADDRESS:PORT, such as 10.0.0.53:53"));
  }
  Upstream upstream;
  if (address->family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&upstream.address);
    in->sin_family = AF_INET;
    in->sin_port = htons(static_cast<uint16_t>(port));
    std::memcpy(&in->sin_addr, address->bytes.data(), 4);
    upstream.size = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&upstream.address);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(static_cast<uint16_t>(port));
    std::memcpy(&in->sin6_addr, address->bytes.data(), 16);
    upstream.size = sizeof(*in);
  }
  return upstream;
}

Forwarder::~Forwarder() {
  for (auto& [id, flight] : flights_) CloseSocket(*flight);
}

void Forwarder::Ask(absl::string_view packet, const Query& query,
                    std::shared_ptr<const Upstreams> upstreams, bool tcp,
                    Done done) {
  if (upstreams == nullptr || upstreams->empty() ||
      flights_.size() >= static_cast<size_t>(options_.max_in_flight)) {
    done("");
    return;
  }
  auto flight = std::make_unique<Flight>();
  flight->packet = std::string(packet);
  flight->client_id = query.id;
  flight->question_end = query.question_end;
  flight->tcp = tcp;
  flight->first = turn_++ % upstreams->size();
  flight->upstreams = std::move(upstreams);
  flight->done = std::move(done);
  uint64_t id = next_++;
  flights_.emplace(id, std::move(flight));
  Attempt(id);
}

void Forwarder::Attempt(uint64_t id) {
  Flight& flight = *flights_.at(id);
  while (flight.attempts < kMaxAttempts) {
    CloseSocket(flight);
    const Upstreams& all = *flight.upstreams;
    const Upstream& upstream =
        all[(flight.first + static_cast<size_t>(flight.attempts)) % all.size()];
    ++flight.attempts;
    if (Send(id, flight, upstream).ok()) return;
  }
  Finish(id, std::move(flight.last_resort));
}

absl::Status Forwarder::Send(uint64_t id, Flight& flight,
                             const Upstream& upstream) {
  const int type = flight.tcp ? SOCK_STREAM : SOCK_DGRAM;
  ASSIGN_OR_RETURN(flight.fd, options_.open
                                  ? options_.open(upstream.family(), type)
                                  : OpenPlain(upstream.family(), type));
  // Connected, so that the kernel drops what comes from elsewhere.
  if (connect(flight.fd.get(),
              reinterpret_cast<const sockaddr*>(&upstream.address),
              upstream.size) != 0 &&
      errno != EINPROGRESS) {
    return ErrnoStatus("connect to", "dns upstream");
  }
  Write16(&flight.packet, 0, static_cast<uint16_t>(entropy_.Next()));
  uint32_t events = EPOLLIN;
  if (flight.tcp) {
    flight.in.clear();
    flight.out.assign(2, '\0');
    Write16(&flight.out, 0, static_cast<uint16_t>(flight.packet.size()));
    flight.out += flight.packet;
    events |= EPOLLOUT;
  } else if (send(flight.fd.get(), flight.packet.data(), flight.packet.size(),
                  MSG_NOSIGNAL) < 0) {
    return ErrnoStatus("send to", "dns upstream");
  }
  ASSIGN_OR_RETURN(flight.token, poller_.Add(flight.fd.get(), events,
                                             [this, id](uint32_t happened) {
                                               OnEvent(id, happened);
                                             }));
  poller_.SetDeadline(flight.token, clock_.Steady() + options_.timeout);
  return absl::OkStatus();
}

void Forwarder::OnEvent(uint64_t id, uint32_t events) {
  auto it = flights_.find(id);
  if (it == flights_.end()) return;
  Flight& flight = *it->second;
  absl::StatusOr<std::string> answer = "";
  if (events == 0) {
    answer = absl::DeadlineExceededError("dns upstream: no answer");
  } else if (flight.tcp) {
    absl::Status flushed = FlushTcp(flight);
    answer = flushed.ok() ? ReadTcp(flight) : flushed;
  } else {
    answer = ReadUdp(flight);
  }
  if (!answer.ok()) {
    Attempt(id);
  } else if (answer->empty()) {
    return;
  } else if (IsFailure(*answer) && flight.attempts < kMaxAttempts &&
             flight.upstreams->size() > 1) {
    Write16(&*answer, 0, flight.client_id);
    flight.last_resort = *std::move(answer);
    Attempt(id);
  } else {
    Write16(&*answer, 0, flight.client_id);
    Finish(id, *std::move(answer));
  }
}

absl::StatusOr<std::string> Forwarder::ReadUdp(Flight& flight) {
  char buffer[kMaxMessage];
  while (true) {
    ssize_t n = recv(flight.fd.get(), buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return "";
    if (n < 0) return ErrnoStatus("receive from", "dns upstream");
    absl::string_view answer(buffer, static_cast<size_t>(n));
    // Anything else is a forgery or late: wait on.
    if (Matches(flight.packet, flight.question_end, answer)) {
      return std::string(answer);
    }
  }
}

absl::Status Forwarder::FlushTcp(Flight& flight) {
  while (!flight.out.empty()) {
    ssize_t n = send(flight.fd.get(), flight.out.data(), flight.out.size(),
                     MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return absl::OkStatus();
    }
    if (n < 0) return ErrnoStatus("send to", "dns upstream");
    flight.out.erase(0, static_cast<size_t>(n));
    if (flight.out.empty()) {
      RETURN_IF_ERROR(poller_.Change(flight.token, EPOLLIN));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Forwarder::ReadTcp(Flight& flight) {
  char buffer[16 << 10];
  while (true) {
    size_t want = 2;
    if (flight.in.size() >= 2) want += Read16(flight.in, 0);
    if (flight.in.size() > 2 && flight.in.size() >= want) {
      std::string answer = flight.in.substr(2, want - 2);
      if (Matches(flight.packet, flight.question_end, answer)) return answer;
      return absl::UnavailableError("dns upstream: foreign answer");
    }
    ssize_t n = recv(flight.fd.get(), buffer,
                     std::min(sizeof(buffer), want - flight.in.size()), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return "";
    if (n < 0) return ErrnoStatus("receive from", "dns upstream");
    if (n == 0) return absl::UnavailableError("dns upstream: closed");
    flight.in.append(buffer, static_cast<size_t>(n));
  }
}

void Forwarder::CloseSocket(Flight& flight) {
  if (flight.token != 0) poller_.Remove(flight.token);
  flight.token = 0;
  flight.fd.Reset();
}

void Forwarder::Finish(uint64_t id, std::string answer) {
  auto it = flights_.find(id);
  std::unique_ptr<Flight> flight = std::move(it->second);
  flights_.erase(it);
  CloseSocket(*flight);
  flight->done(std::move(answer));
}

}  // namespace bulwark::netmesh::dns
