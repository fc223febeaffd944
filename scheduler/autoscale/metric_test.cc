#include "scheduler/autoscale/metric.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace bulwark::scheduler {
namespace {

struct Case {
  std::string name;
  int current;
  double target;
  std::vector<double> values;
  int unready;
  int missing;
  int want;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

class RecommendTest : public ::testing::TestWithParam<Case> {};

TEST_P(RecommendTest, AsksForTheDocumentedCount) {
  const Case& c = GetParam();
  const std::optional<Recommendation> got =
      Recommend({c.target, c.values, c.unready, c.missing}, c.current, 0.1);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->replicas, c.want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RecommendTest,
    ::testing::Values(
        // The examples of the Kubernetes documentation: "if the current metric
        // value is 200m, and the desired value is 100m, the number of replicas
        // will be doubled, since 200.0 / 100.0 == 2.0. If the current value is
        // instead 50m, you'll halve the number".
        Case{"Doubles", 3, 100, {200, 200, 200}, 0, 0, 6},
        Case{"Halves", 4, 100, {50, 50, 50, 50}, 0, 0, 2},
        // ceil(3 * 90/70) = ceil(3.86).
        Case{"RoundsUp", 3, 70, {90, 90, 90}, 0, 0, 4},
        // The walkthrough's php-apache: 305 % of 50 % with one replica is 7.
        Case{"Walkthrough", 1, 50, {305}, 0, 0, 7},
        Case{"UsesTheMean", 2, 50, {10, 190}, 0, 0, 4},
        // Within 0.9 to 1.1, both ends included.
        Case{"HighWithinTolerance", 10, 100, std::vector<double>(10, 110), 0, 0,
             10},
        Case{"LowWithinTolerance", 10, 100, std::vector<double>(10, 90), 0, 0,
             10},
        Case{"AboveTolerance", 10, 100, std::vector<double>(10, 110.1), 0, 0,
             12},
        Case{"BelowTolerance", 10, 100, std::vector<double>(10, 80), 0, 0, 8},
        Case{"Idle", 3, 100, {0, 0, 0}, 0, 0, 0},
        // Missing: the target going down. (2*20 + 2*100)/4 = 60 %: 4 * 0.6.
        Case{"MissingHoldBack", 4, 100, {20, 20}, 0, 2, 3},
        // (3*85 + 100)/4 = 88.75: 4 * 0.8875 is 4 rounded up.
        Case{"MissingStopALittleLess", 4, 100, {85, 85, 85}, 0, 1, 4},
        // 0 going up. (2*300 + 0)/3 = 200 %: 3 * 2.
        Case{"MissingCountAsIdleGoingUp", 3, 100, {300, 300}, 0, 1, 6},
        // (2*120 + 0)/3 = 80 %: would be down.
        Case{"MissingNeverReverse", 3, 100, {120, 120}, 0, 1, 3},
        // Unready: 0 going up. (2*200 + 2*0)/4 = 100 %.
        Case{"UnreadyHoldBack", 4, 100, {200, 200}, 2, 0, 4},
        // (2*400 + 2*0)/4 = 200 %: 4 * 2.
        Case{"UnreadyButMuchLoad", 4, 100, {400, 400}, 2, 0, 8},
        // Not at all going down: ceil(2 * 0.5).
        Case{"UnreadyDoNotCountGoingDown", 4, 100, {50, 50}, 2, 0, 1},
        // (2*150 + 0 + 0)/4 = 75 %.
        Case{"UnreadyAndMissing", 4, 100, {150, 150}, 1, 1, 4},
        // More run than should (a rollout's surge): 5 * 0.85 is no reason to
        // have more than 4.
        Case{"SurgeDoesNotReverse", 4, 100, std::vector<double>(5, 85), 0, 0,
             4},
        // Fewer run than should: 2 * 1.2 is no reason to have fewer than 4.
        Case{"LossDoesNotReverse", 4, 100, {120, 120}, 0, 0, 4},
        Case{"HugeLoad", 1, 1, {1e12}, 0, 0, 1000000}),
    [](const auto& info) { return info.param.name; });

TEST(RecommendTest, WhenNothingIsKnown_AsksForNothing) {
  EXPECT_FALSE(Recommend({100, {}, 2, 3}, 4, 0.1).has_value());
}

TEST(RecommendTest, WhenToleranceIsZero_FollowsEverything) {
  EXPECT_EQ(Recommend({100, {101, 101}, 0, 0}, 2, 0)->replicas, 3);
  EXPECT_EQ(Recommend({100, {100, 100}, 0, 0}, 2, 0)->replicas, 2);
}

}  // namespace
}  // namespace bulwark::scheduler
