#include "netmesh/dns/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/status.h"

namespace bulwark::netmesh::dns {
namespace {

constexpr Poller::Token kWakeToken = 0;
constexpr int kMaxEvents = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<Poller>> Poller::Make(Clock& clock) {
  std::unique_ptr<Poller> poller(new Poller(clock));
  poller->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!poller->epoll_.ok()) return ErrnoStatus("make", "epoll");
  poller->wake_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!poller->wake_.ok()) return ErrnoStatus("make", "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  if (epoll_ctl(poller->epoll_.get(), EPOLL_CTL_ADD, poller->wake_.get(),
                &event) != 0) {
    return ErrnoStatus("watch", "eventfd");
  }
  return poller;
}

absl::StatusOr<Poller::Token> Poller::Add(int fd, uint32_t events,
                                          Callback callback) {
  Token token = next_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoStatus("watch", "socket");
  }
  auto entry = std::make_shared<Entry>();
  entry->fd = fd;
  entry->callback = std::move(callback);
  entries_.emplace(token, std::move(entry));
  return token;
}

absl::Status Poller::Change(Token token, uint32_t events) {
  auto it = entries_.find(token);
  if (it == entries_.end()) return absl::NotFoundError("watch: no such entry");
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, it->second->fd, &event) != 0) {
    return ErrnoStatus("watch", "socket");
  }
  return absl::OkStatus();
}

void Poller::SetDeadline(Token token, absl::Duration deadline) {
  auto it = entries_.find(token);
  if (it == entries_.end()) return;
  deadlines_.erase({it->second->deadline, token});
  it->second->deadline = deadline;
  if (deadline != absl::InfiniteDuration())
    deadlines_.insert({deadline, token});
}

void Poller::Remove(Token token) {
  auto it = entries_.find(token);
  if (it == entries_.end()) return;
  deadlines_.erase({it->second->deadline, token});
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second->fd, nullptr);
  entries_.erase(it);
}

int Poller::TimeoutMillis() {
  if (deadlines_.empty()) return -1;
  absl::Duration left = deadlines_.begin()->first - clock_.Steady();
  // Rounded up: waking before the deadline would only spin.
  int64_t millis =
      absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
  return static_cast<int>(std::clamp<int64_t>(millis, 0, 60'000));
}

absl::Status Poller::Poll() {
  epoll_event events[kMaxEvents];
  int count = epoll_wait(epoll_.get(), events, kMaxEvents, TimeoutMillis());
  if (count < 0 && errno != EINTR) return ErrnoStatus("wait for", "sockets");
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == kWakeToken) {
      uint64_t ignored;
      while (read(wake_.get(), &ignored, sizeof(ignored)) > 0) {
      }
      continue;
    }
    auto it = entries_.find(events[i].data.u64);
    if (it == entries_.end()) continue;
    std::shared_ptr<Entry> entry = it->second;
    entry->callback(events[i].events);
  }
  RunDeadlines();
  return absl::OkStatus();
}

void Poller::RunDeadlines() {
  const absl::Duration now = clock_.Steady();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Token token = deadlines_.begin()->second;
    SetDeadline(token, absl::InfiniteDuration());
    std::shared_ptr<Entry> entry = entries_.at(token);
    entry->callback(0);
  }
}

void Poller::Wake() {
  uint64_t one = 1;
  // EAGAIN means that it is awake already.
  if (write(wake_.get(), &one, sizeof(one)) < 0) return;
}

}  // namespace bulwark::netmesh::dns
