#include "base/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace bulwark {
namespace {

using ::testing::ElementsAre;

TEST(HistogramTest, WhenObserved_CountsUpToEachBound) {
  constexpr double kBounds[] = {0.1, 1};
  Histogram histogram(kBounds);
  for (const double seconds : {0.05, 0.1, 0.2, 1.0, 7.0}) {
    histogram.Observe(absl::Seconds(seconds));
  }
  histogram.Observe(absl::Seconds(-1));  // a clock that went back
  const Histogram::Snapshot seen = histogram.Get();
  EXPECT_THAT(seen.bounds, ElementsAre(0.1, 1));
  EXPECT_THAT(seen.counts, ElementsAre(3, 5, 6));
  EXPECT_DOUBLE_EQ(seen.sum, 8.35);
}

TEST(HistogramTest, WhenObservedByManyThreads_LosesNone) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&histogram] {
      for (int n = 0; n < 10'000; ++n) {
        histogram.Observe(absl::Microseconds(n));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.Get().counts.back(), 40'000);
}

}  // namespace
}  // namespace bulwark
