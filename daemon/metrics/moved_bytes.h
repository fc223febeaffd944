// How much of blobs has moved, as their reports of progress tell.
#ifndef DAEMON_METRICS_MOVED_BYTES_H_
#define DAEMON_METRICS_MOVED_BYTES_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "engine/images.h"

namespace bulwark::daemon {

// Of one pull or push. Its reports come from one thread at a time.
class MovedBytes {
 public:
  // Reports with this status count; `total` is added to, and outlives this.
  MovedBytes(std::string status, std::atomic<int64_t>& total)
      : status_(std::move(status)), total_(total) {}

  // A blob's reports only grow, unless it begins anew.
  void Count(const engine::Progress& progress) {
    if (progress.status != status_) return;
    int64_t& last = seen_[progress.id];
    total_ += std::max<int64_t>(0, progress.current - last);
    last = progress.current;
  }
  bool any() const { return !seen_.empty(); }

 private:
  const std::string status_;
  std::atomic<int64_t>& total_;
  std::map<std::string, int64_t> seen_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_MOVED_BYTES_H_
