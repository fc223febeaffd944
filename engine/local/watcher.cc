#include "engine/local/watcher.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "base/thread_name.h"

namespace bulwark::engine {

absl::StatusOr<std::unique_ptr<Watcher>> Watcher::Create(Clock& clock) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.ok() || !wake.ok()) return ErrnoStatus("make", "event queue");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return ErrnoStatus("watch", "wake event");
  }
  std::unique_ptr<Watcher> watcher(
      new Watcher(std::move(epoll), std::move(wake), clock));
  watcher->thread_ = std::thread([w = watcher.get()] { w->Run(); });
  return watcher;
}

Watcher::~Watcher() { Stop(); }

void Watcher::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

void Watcher::Wake() {
  const uint64_t one = 1;
  CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
}

void Watcher::After(absl::Duration delay, std::function<void()> call) {
  {
    absl::MutexLock lock(&mu_);
    timers_.emplace(clock_.Steady() + delay, std::move(call));
  }
  Wake();
}

int Watcher::CallDue() {
  for (;;) {
    std::function<void()> call;
    {
      absl::MutexLock lock(&mu_);
      if (timers_.empty()) return -1;
      const absl::Duration left = timers_.begin()->first - clock_.Steady();
      if (left > absl::ZeroDuration()) {
        return static_cast<int>(absl::ToInt64Milliseconds(
                   std::min<absl::Duration>(left, absl::Hours(1)))) +
               1;
      }
      call = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
    }
    call();
  }
}

UniqueFd DuplicateHigh(int fd) {
  UniqueFd high(fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE));
  // The process may not have so many.
  if (!high.ok()) high.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return high;
}

absl::Status Watcher::Add(int pidfd, std::function<void()> on_end) {
  UniqueFd copy = DuplicateHigh(pidfd);
  if (!copy.ok()) return ErrnoStatus("duplicate", "process descriptor");
  const int fd = copy.get();
  uint64_t key;
  {
    absl::MutexLock lock(&mu_);
    key = next_++;
    entries_[key] = {std::move(copy), std::move(on_end)};
  }
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = key;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const absl::Status status = ErrnoStatus("watch", "process");
    absl::MutexLock lock(&mu_);
    entries_.erase(key);
    return status;
  }
  return absl::OkStatus();
}

void Watcher::Run() {
  NameThread("container ends");
  for (;;) {
    epoll_event events[32];
    const int n = epoll_wait(epoll_.get(), events, 32, CallDue());
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) {
        uint64_t count;
        CHECK(read(wake_.get(), &count, sizeof(count)) == sizeof(count));
        absl::MutexLock lock(&mu_);
        if (stopping_) return;
        continue;
      }
      Entry entry;
      {
        absl::MutexLock lock(&mu_);
        const auto it = entries_.find(events[i].data.u64);
        if (it == entries_.end()) continue;
        entry = std::move(it->second);
        entries_.erase(it);
      }
      // Explicit: a duplicate elsewhere would keep the registration alive.
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.pidfd.get(), nullptr);
      entry.on_end();
    }
  }
}

}  // namespace bulwark::engine
