#include "engine/local/watcher.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine {

absl::StatusOr<std::unique_ptr<Watcher>> Watcher::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!epoll.ok() || !stop.ok()) return ErrnoStatus("make", "event queue");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stop.get(), &event) != 0) {
    return ErrnoStatus("watch", "stop event");
  }
  std::unique_ptr<Watcher> watcher(
      new Watcher(std::move(epoll), std::move(stop)));
  watcher->thread_ = std::thread([w = watcher.get()] { w->Run(); });
  return watcher;
}

Watcher::~Watcher() {
  const uint64_t one = 1;
  CHECK(write(stop_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

absl::Status Watcher::Add(int pidfd, std::function<void()> on_end) {
  UniqueFd copy(fcntl(pidfd, F_DUPFD_CLOEXEC, 0));
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
  for (;;) {
    epoll_event events[32];
    const int n = epoll_wait(epoll_.get(), events, 32, -1);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) return;
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
