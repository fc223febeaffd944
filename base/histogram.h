// Durations counted by size, for metrics.
#ifndef BASE_HISTOGRAM_H_
#define BASE_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace bulwark {

// Upper bounds of the buckets, in seconds: for what takes a disk write, and for
// what takes a network.
inline constexpr double kFastBounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                         0.005,  0.01,    0.025,  0.05,  0.1,
                                         0.25,   0.5,     1,      2.5,   10};
inline constexpr double kSlowBounds[] = {0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                         5,    10,  30,   60,  120, 300};

// Lock-free; thread-safe.
class Histogram {
 public:
  struct Snapshot {
    std::vector<double> bounds;
    // How many were at most bounds[i]; the last, one more, counts all.
    std::vector<uint64_t> counts;
    double sum = 0;  // seconds
  };

  // At most kMaxBounds, growing.
  explicit Histogram(absl::Span<const double> bounds = kFastBounds)
      : bounds_(bounds.begin(), bounds.end()) {}

  void Observe(absl::Duration d);
  // Not one instant: an observation may be in `sum` before it is counted.
  Snapshot Get() const;

 private:
  static constexpr size_t kMaxBounds = 15;

  const std::vector<double> bounds_;
  std::array<std::atomic<uint64_t>, kMaxBounds + 1> buckets_{};
  std::atomic<int64_t> nanoseconds_ = 0;
};

}  // namespace bulwark

#endif  // BASE_HISTOGRAM_H_
