#include "scheduler/health/probe_state.h"

#include <gtest/gtest.h>

namespace bulwark::scheduler {
namespace {

TEST(ProbeStateTest, UntilTheFirstSuccess_RunsOftenAndThenByThePeriod) {
  ProbeState probe({absl::Seconds(1), absl::Seconds(1), 1, 3}, false);
  probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Milliseconds(20));
  probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Milliseconds(40));
  for (int i = 0; i < 20; ++i) probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(1));
  EXPECT_TRUE(probe.Record(true));
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(1));
  probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(1));
}

TEST(ProbeStateTest, WithAStartInterval_RunsByItUntilTheFirstSuccess) {
  ProbePolicy policy{absl::Seconds(30), absl::Seconds(1), 1, 3};
  policy.start_interval = absl::Seconds(2);
  ProbeState probe(policy, false);
  for (int i = 0; i < 20; ++i) probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(2));
  probe.Record(true);
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(30));
}

TEST(ProbeStateTest, BecomesHealthyAfterSuccessesInARow) {
  ProbeState probe({absl::Seconds(1), absl::Seconds(1), 2, 3}, false);
  EXPECT_FALSE(probe.Record(true));
  EXPECT_FALSE(probe.Record(false));
  EXPECT_FALSE(probe.Record(true));
  EXPECT_FALSE(probe.healthy());
  EXPECT_TRUE(probe.Record(true));
  EXPECT_TRUE(probe.healthy());
}

TEST(ProbeStateTest, BecomesUnhealthyAfterFailuresInARowOnly) {
  ProbeState probe({absl::Seconds(1), absl::Seconds(1), 1, 3}, true);
  probe.Record(false);
  probe.Record(false);
  probe.Record(true);
  probe.Record(false);
  EXPECT_FALSE(probe.Record(false));
  EXPECT_TRUE(probe.healthy());
  EXPECT_FALSE(probe.failed());
  EXPECT_TRUE(probe.Record(false));
  EXPECT_FALSE(probe.healthy());
  EXPECT_TRUE(probe.failed());
}

TEST(ProbeStateTest, WhenAdoptedAsHealthy_DoesNotHurry) {
  ProbeState probe({absl::Seconds(5), absl::Seconds(1), 1, 3}, true);
  probe.Record(false);
  EXPECT_EQ(probe.NextDelay(), absl::Seconds(5));
}

}  // namespace
}  // namespace bulwark::scheduler
