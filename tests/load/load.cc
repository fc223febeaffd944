#include "tests/load/load.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "lb/socket_address.h"
#include "tests/load/http_answer.h"

namespace bulwark::load {
namespace {

// One of the N connections: a slot that sends request after request.
struct Slot {
  explicit Slot(const std::string& header) : answer(header) {}

  enum class State { kIdle, kConnecting, kWaiting } state = State::kIdle;
  UniqueFd fd;
  HttpAnswer answer;
  // Requests answered on this connection.
  int reused = 0;
  // This request is the second try.
  bool retry = false;
  // The request, its connection, and (see LoadReport::Broken) its last byte.
  absl::Duration began;
  absl::Duration connected;
  absl::Duration sent;
  std::string last_backend;
};

class Load {
 public:
  Load(const LoadOptions& options, const lb::SocketAddress& target,
       Clock& clock)
      : options_(options),
        target_(target),
        clock_(clock),
        request_(absl::StrCat(
            "GET ", options.path, " HTTP/1.1\r\nHost: ", target.ToString(),
            options.mode == Mode::kPerRequest ? "\r\nConnection: close" : "",
            "\r\n\r\n")) {}

  absl::StatusOr<LoadReport> Run() {
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_.ok()) return ErrnoStatus("create", "epoll");
    start_ = now_ = last_answer_ = last_connect_ = clock_.Steady();
    const absl::Duration end = start_ + options_.duration;
    for (int i = 0; i < options_.connections; ++i) {
      slots_.push_back(std::make_unique<Slot>(options_.backend_header));
    }
    while (true) {
      now_ = clock_.Steady();
      const bool over = now_ >= end || Enough();
      if (over && busy_ == 0) break;
      if (!over) StartDue();
      Poll(over ? end + options_.timeout : end);
      Expire();
    }
    report_.elapsed = now_ - start_;
    Gap(last_answer_, report_.max_gap);
    Gap(last_connect_, report_.max_connect_gap);
    return std::move(report_);
  }

 private:
  bool Enough() const {
    return (options_.stop != nullptr && *options_.stop) ||
           (options_.answers_wanted > 0 &&
            report_.requests >= options_.answers_wanted);
  }

  void Gap(absl::Duration& last, absl::Duration& longest) {
    longest = std::max(longest, now_ - last);
    last = now_;
  }

  // Starts requests in idle slots, as many as the rate allows.
  void StartDue() {
    for (auto& slot : slots_) {
      if (slot->state != Slot::State::kIdle) continue;
      if (options_.rate > 0 &&
          started_ >= absl::ToDoubleSeconds(now_ - start_) * options_.rate) {
        return;
      }
      ++started_;
      ++busy_;
      slot->retry = false;
      slot->began = now_;
      Begin(*slot);
    }
  }

  void Begin(Slot& slot) {
    slot.answer.Reset();
    slot.sent = absl::InfiniteDuration();
    if (slot.fd.ok() && ClosedByPeer(slot.fd.get())) slot.fd.Reset();
    if (slot.fd.ok()) return Send(slot);
    slot.reused = 0;
    slot.connected = now_;
    slot.last_backend.clear();
    slot.fd.Reset(socket(target_.family(),
                         SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!slot.fd.ok()) return Fail(slot, "socket", errno);
    const int one = 1;
    setsockopt(slot.fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(slot.fd.get(), target_.get(), target_.size()) != 0 &&
        errno != EINPROGRESS) {
      return Fail(slot, "connect", errno);
    }
    slot.state = Slot::State::kConnecting;
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &slot;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, slot.fd.get(), &event) != 0) {
      Fail(slot, "watch", errno);
    }
  }

  // The end may have come together with the last answer: no event tells of it
  // any more, and a request sent now would go into a half-closed connection.
  static bool ClosedByPeer(int fd) {
    char byte;
    const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  }

  void Send(Slot& slot) {
    slot.state = Slot::State::kWaiting;
    const absl::Duration now = clock_.Steady();
    // A request fits into any socket buffer.
    const ssize_t n =
        send(slot.fd.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    if (n != static_cast<ssize_t>(request_.size())) {
      return Broken(slot, "send", n < 0 ? errno : EMSGSIZE);
    }
    slot.sent = now;
  }

  void Poll(absl::Duration until) {
    epoll_event batch[256];
    absl::Duration wait = std::min(until - now_, absl::Milliseconds(100));
    if (options_.rate > 0) wait = std::min(wait, absl::Milliseconds(1));
    const int64_t ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(wait));
    const int n = epoll_wait(epoll_.get(), batch, 256, static_cast<int>(ms));
    now_ = clock_.Steady();
    for (int i = 0; i < n; ++i) {
      OnEvent(*static_cast<Slot*>(batch[i].data.ptr), batch[i].events);
    }
  }

  void OnEvent(Slot& slot, uint32_t events) {
    if (slot.state == Slot::State::kConnecting) {
      int error = 0;
      socklen_t size = sizeof(error);
      getsockopt(slot.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      // It was made, and its other end died before we looked.
      if (error == ECONNRESET) return Broken(slot, "connect", error);
      if (error != 0) return Fail(slot, "connect", error);
      if (!(events & EPOLLOUT)) return;
      Gap(last_connect_, report_.max_connect_gap);
      Send(slot);
    }
    if (slot.state == Slot::State::kWaiting) return Receive(slot);
    // An idle connection that the other side closes is no failure.
    if (slot.state == Slot::State::kIdle && (events & EPOLLIN)) slot.fd.Reset();
  }

  void Receive(Slot& slot) {
    while (true) {
      const ssize_t n = recv(slot.fd.get(), buffer_.data(), buffer_.size(), 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0 && errno == EINTR) continue;
      const HttpAnswer::State state =
          n > 0 ? slot.answer.Feed({buffer_.data(), static_cast<size_t>(n)})
                : slot.answer.End();
      if (state == HttpAnswer::State::kComplete) return Answered(slot, n > 0);
      if (state == HttpAnswer::State::kMalformed) {
        return Fail(slot, "answer: not HTTP", 0);
      }
      if (n < 0) return Broken(slot, "receive", errno);
      if (n == 0) return Broken(slot, "closed before the answer", 0);
    }
  }

  void Answered(Slot& slot, bool open) {
    if (slot.answer.status() >= 400) {
      return Fail(slot, absl::StrCat("status ", slot.answer.status()), 0);
    }
    ++report_.requests;
    if (options_.answers != nullptr) ++*options_.answers;
    ++report_.by_backend[slot.answer.backend()];
    report_.latency_us.Add(absl::ToInt64Microseconds(now_ - slot.began));
    Gap(last_answer_, report_.max_gap);
    slot.last_backend = slot.answer.backend();
    ++slot.reused;
    const bool keep =
        open && options_.mode == Mode::kKeepAlive && slot.answer.keep_alive();
    if (!keep) slot.fd.Reset();
    Finish(slot);
  }

  void Finish(Slot& slot) {
    slot.state = Slot::State::kIdle;
    --busy_;
  }

  // The connection was made, and ended under the request.
  void Broken(Slot& slot, const std::string& how, int error) {
    if (options_.mode == Mode::kKeepAlive && slot.reused > 0 && !slot.retry &&
        !slot.answer.started()) {
      ++report_.retried;
      slot.retry = true;
      slot.fd.Reset();
      return Begin(slot);
    }
    const std::string& backend = slot.answer.backend().empty()
                                     ? slot.last_backend
                                     : slot.answer.backend();
    report_.broken.push_back(
        {slot.connected, slot.sent, clock_.Steady(), backend});
    Fail(slot, how, error);
  }

  void Fail(Slot& slot, const std::string& how, int error) {
    ++report_.failed;
    ++report_
          .errors[error == 0 ? how : absl::StrCat(how, ": ", strerror(error))];
    slot.fd.Reset();
    Finish(slot);
  }

  void Expire() {
    for (auto& slot : slots_) {
      if (slot->state != Slot::State::kIdle &&
          now_ - slot->began > options_.timeout) {
        Fail(*slot, "timed out", 0);
      }
    }
  }

  const LoadOptions& options_;
  const lb::SocketAddress target_;
  Clock& clock_;
  const std::string request_;
  UniqueFd epoll_;
  std::vector<std::unique_ptr<Slot>> slots_;
  absl::Duration start_, now_, last_answer_, last_connect_;
  uint64_t started_ = 0;
  int busy_ = 0;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
  LoadReport report_;
};

std::string Quote(const std::string& text) {
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\"");
}

std::string ToJson(const std::map<std::string, uint64_t>& counts) {
  std::string out = "{";
  for (const auto& [key, n] : counts) {
    absl::StrAppend(&out, out.size() > 1 ? ", " : "", Quote(key), ": ", n);
  }
  return out + "}";
}

double Ms(absl::Duration d) { return absl::ToDoubleMilliseconds(d); }

}  // namespace

absl::StatusOr<LoadReport> RunLoad(const LoadOptions& options, Clock& clock) {
  ASSIGN_OR_RETURN(const lb::SocketAddress target,
                   lb::SocketAddress::Parse(options.address, options.port));
  return Load(options, target, clock).Run();
}

void ForgiveKilled(LoadReport& report, const std::vector<Kill>& kills) {
  std::erase_if(report.broken, [&](const LoadReport::Broken& b) {
    for (const Kill& k : kills) {
      const bool of_proxy = k.backend.empty();
      const bool before_end = (of_proxy ? b.began : b.sent) <= k.gone;
      const bool maybe =
          of_proxy || b.backend.empty() || b.backend == k.backend;
      if (!before_end || b.broke < k.at || !maybe) continue;
      --report.failed;
      ++report.in_flight_on_killed;
      return true;
    }
    return false;
  });
}

std::string ToJson(const LoadReport& r) {
  const double seconds = std::max(1e-9, absl::ToDoubleSeconds(r.elapsed));
  return absl::StrCat(
      "{\"requests\": ", r.requests, ", \"failed\": ", r.failed,
      ", \"in_flight_on_killed\": ", r.in_flight_on_killed,
      ", \"retried\": ", r.retried, ", \"by_backend\": ", ToJson(r.by_backend),
      ", \"errors\": ", ToJson(r.errors), ", \"max_gap_ms\": ", Ms(r.max_gap),
      ", \"max_connect_gap_ms\": ", Ms(r.max_connect_gap),
      ", \"p50_us\": ", r.latency_us.Quantile(0.5),
      ", \"p99_us\": ", r.latency_us.Quantile(0.99),
      ", \"requests_per_second\": ", r.requests / seconds,
      ", \"seconds\": ", seconds, "}");
}

}  // namespace bulwark::load
