// Latencies in little memory.
#ifndef TESTS_LOAD_HISTOGRAM_H_
#define TESTS_LOAD_HISTOGRAM_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace bulwark::load {

// Counts values in buckets that are at most 1/64 of the value wide.
class Histogram {
 public:
  void Add(uint64_t value) {
    const size_t i = Index(value);
    if (i >= counts_.size()) counts_.resize(i + 1);
    ++counts_[i];
    ++total_;
  }

  // The value that `fraction` of all do not exceed; 0 if there are none.
  uint64_t Quantile(double fraction) const {
    uint64_t rank = static_cast<uint64_t>(fraction * total_);
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (rank < counts_[i]) return Value(i);
      rank -= counts_[i];
    }
    return counts_.empty() ? 0 : Value(counts_.size() - 1);
  }

 private:
  static constexpr int kBits = 6;

  static size_t Index(uint64_t value) {
    const int width = static_cast<int>(std::bit_width(value));
    const int shift = std::max(0, width - kBits - 1);
    return (static_cast<size_t>(shift) << kBits) + (value >> shift);
  }
  static uint64_t Value(size_t index) {
    if (index < (2u << kBits)) return index;
    const size_t shift = (index >> kBits) - 1;
    return (index - (shift << kBits)) << shift;
  }

  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
};

}  // namespace bulwark::load

#endif  // TESTS_LOAD_HISTOGRAM_H_
