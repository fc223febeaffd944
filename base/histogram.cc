#include "base/histogram.h"

#include <algorithm>

namespace bulwark {

void Histogram::Observe(absl::Duration d) {
  d = std::max(d, absl::ZeroDuration());
  const size_t bucket = std::lower_bound(bounds_.begin(), bounds_.end(),
                                         absl::ToDoubleSeconds(d)) -
                        bounds_.begin();
  nanoseconds_.fetch_add(absl::ToInt64Nanoseconds(d),
                         std::memory_order_relaxed);
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::Get() const {
  Snapshot snapshot;
  snapshot.bounds = bounds_;
  uint64_t count = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    count += buckets_[i].load(std::memory_order_relaxed);
    snapshot.counts.push_back(count);
  }
  snapshot.sum = static_cast<double>(nanoseconds_.load()) * 1e-9;
  return snapshot;
}

}  // namespace bulwark
