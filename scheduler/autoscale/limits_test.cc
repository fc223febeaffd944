#include "scheduler/autoscale/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1893456000);

absl::Time At(int seconds) { return kNow + absl::Seconds(seconds); }

AutoscaleSettings WithWindows(int up, int down) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  s.up.window = absl::Seconds(up);
  s.down.window = absl::Seconds(down);
  return s;
}

std::string Text(const Recommendations& memory) {
  std::string text;
  for (const v1::ScaleRecommendation& r : memory) {
    absl::StrAppend(&text, text.empty() ? "" : " ", r.replicas(), "@",
                    absl::ToInt64Seconds(ToTime(r.time()) - kNow));
  }
  return text;
}

TEST(WindowTest, GoingDown_TheLargestOfTheWindowCounts) {
  const AutoscaleSettings s = WithWindows(0, 300);
  Recommendations memory;
  Remember(10, s, At(0), memory);
  Remember(4, s, At(100), memory);
  EXPECT_EQ(Stabilize(memory, s, 10, At(100)), 10);
  Remember(6, s, At(200), memory);
  Remember(3, s, At(250), memory);
  // 10 held until 100, 6 until 250.
  EXPECT_EQ(Stabilize(memory, s, 10, At(399)), 10);
  EXPECT_EQ(Stabilize(memory, s, 10, At(400)), 6);
  EXPECT_EQ(Stabilize(memory, s, 6, At(549)), 6);
  EXPECT_EQ(Stabilize(memory, s, 6, At(550)), 3);
}

TEST(WindowTest, GoingUp_TheLeastOfTheWindowCounts) {
  const AutoscaleSettings s = WithWindows(60, 0);
  Recommendations memory;
  Remember(2, s, At(0), memory);
  Remember(8, s, At(10), memory);
  EXPECT_EQ(Stabilize(memory, s, 2, At(10)), 2);
  Remember(5, s, At(40), memory);
  EXPECT_EQ(Stabilize(memory, s, 2, At(69)), 2);
  EXPECT_EQ(Stabilize(memory, s, 2, At(70)), 5);
}

TEST(WindowTest, WithoutWindow_FollowsAtOnce) {
  const AutoscaleSettings s = WithWindows(0, 0);
  Recommendations memory;
  Remember(2, s, At(0), memory);
  EXPECT_EQ(Stabilize(memory, s, 2, At(0)), 2);
  Remember(8, s, At(10), memory);
  EXPECT_EQ(Stabilize(memory, s, 2, At(10)), 8);
  Remember(1, s, At(20), memory);
  EXPECT_EQ(Stabilize(memory, s, 8, At(20)), 1);
}

TEST(WindowTest, KeepsOnlyWhatCanStillCount) {
  AutoscaleSettings s = WithWindows(0, 300);
  Recommendations memory;
  for (int i = 0; i < 100; ++i) Remember(3 + i % 2, s, At(2 * i), memory);
  EXPECT_EQ(Text(memory), "4@198");
  Remember(4, s, At(200), memory);
  EXPECT_EQ(Text(memory), "4@198") << "nothing new";
  Remember(2, s, At(300), memory);
  EXPECT_EQ(Text(memory), "4@300 2@300");
  Remember(1, s, At(700), memory);
  EXPECT_EQ(Text(memory), "2@700 1@700");

  // An upward window too: the least and the largest are both needed.
  s = WithWindows(300, 300);
  memory.Clear();
  for (int i = 0; i < 1000; ++i) Remember(1 + i * 7 % 50, s, At(i), memory);
  EXPECT_LE(memory.size(), 100);
  for (int later = 0; later < 400; later += 13) {
    int least = 1000, largest = 0;
    for (int i = 0; i < 1000; ++i) {
      const bool held = i + 1 > 999 + later - 300 || i == 999;
      if (!held) continue;
      least = std::min(least, 1 + i * 7 % 50);
      largest = std::max(largest, 1 + i * 7 % 50);
    }
    EXPECT_EQ(Stabilize(memory, s, 0, At(999 + later)), least) << later;
    EXPECT_EQ(Stabilize(memory, s, 1000, At(999 + later)), largest) << later;
  }
}

TEST(WindowTest, WhenTheClockWasSetBack_ForgetsInTheEnd) {
  const AutoscaleSettings s = WithWindows(0, 300);
  Recommendations memory;
  Remember(10, s, At(100000), memory);
  Remember(2, s, At(0), memory);
  EXPECT_EQ(Stabilize(memory, s, 10, At(10)), 10);
  EXPECT_EQ(Stabilize(memory, s, 10, At(300)), 2);
}

// Scaling from `current`, after these changes, so many seconds ago each.
struct Past {
  int change;
  int ago;
};
Changes History(const std::vector<Past>& past) {
  Changes changes;
  for (const Past& p : past) {
    v1::ScaleChange& c = *changes.Add();
    c.set_change(p.change);
    SetTime(c.mutable_time(), At(-p.ago));
  }
  return changes;
}

TEST(RateTest, ByDefault_GoesUpByTheLargerOf100PercentAnd4) {
  const AutoscaleSettings s = AutoscaleSettingsOf({});
  EXPECT_EQ(UpLimit({}, s, 1, kNow), 5);
  EXPECT_EQ(UpLimit({}, s, 10, kNow), 20);
  // From 2 to 6 five seconds ago: the period began with 2.
  EXPECT_EQ(UpLimit(History({{4, 5}}), s, 6, kNow), 6);
  EXPECT_EQ(UpLimit(History({{4, 15}}), s, 6, kNow), 12);
  // What was taken away in the period may come back.
  EXPECT_EQ(UpLimit(History({{-4, 5}}), s, 6, kNow), 20);
}

TEST(RateTest, ByDefault_GoesDownAtOnce) {
  EXPECT_EQ(DownLimit({}, AutoscaleSettingsOf({}), 10, kNow), 0);
}

// The documentation's example: from 80 replicas, at most 10 % or 4 in a minute:
// 8 go at first, then "10% of the pods is 7.2 but the number is rounded up to
// 8"; below 40 it is four at a time.
TEST(RateTest, AsInTheDocumentation_GoesDownByTheLargerPolicy) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  s.down.policies = {{false, 4, absl::Seconds(60)},
                     {true, 10, absl::Seconds(60)}};
  EXPECT_EQ(DownLimit({}, s, 80, kNow), 72);
  EXPECT_EQ(DownLimit({}, s, 72, kNow), 64);
  EXPECT_EQ(DownLimit({}, s, 40, kNow), 36);
  EXPECT_EQ(DownLimit({}, s, 10, kNow), 6);
  EXPECT_EQ(DownLimit(History({{-8, 59}}), s, 72, kNow), 72);
  s.down.select = v1::ScalingRules::MIN;
  EXPECT_EQ(DownLimit({}, s, 80, kNow), 76);
  EXPECT_EQ(DownLimit({}, s, 20, kNow), 18);
  s.down.select = v1::ScalingRules::DISABLED;
  EXPECT_EQ(DownLimit({}, s, 80, kNow), 80);
}

TEST(RateTest, SelectsTheSmallerPolicyGoingUp) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  s.up.select = v1::ScalingRules::MIN;
  EXPECT_EQ(UpLimit({}, s, 1, kNow), 2);
  EXPECT_EQ(UpLimit({}, s, 10, kNow), 14);
  s.up.select = v1::ScalingRules::DISABLED;
  EXPECT_EQ(UpLimit({}, s, 10, kNow), 10);
}

TEST(RateTest, RoundsPercentsUpGoingUp) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  s.up.policies = {{true, 10, absl::Seconds(15)}};
  EXPECT_EQ(UpLimit({}, s, 1, kNow), 2);
  EXPECT_EQ(UpLimit({}, s, 10, kNow), 11);
}

TEST(RateTest, ForgetsChangesThatNoPolicyAsksFor) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  s.down.policies[0].period = absl::Seconds(60);
  Changes changes = History({{1, 61}, {2, 60}, {3, 59}});
  AddChange(-1, s, kNow, changes);
  ASSERT_EQ(changes.size(), 2);
  EXPECT_EQ(changes[0].change(), 3);
  EXPECT_EQ(changes[1].change(), -1);
}

TEST(DescribeTest, NamesThePolicies) {
  AutoscaleSettings s = AutoscaleSettingsOf({});
  EXPECT_EQ(Describe(s.up), "at most 100% in 15s or 4 replicas in 15s");
  s.up.select = v1::ScalingRules::MIN;
  s.up.policies[1].value = 1;
  EXPECT_EQ(Describe(s.up), "at most 100% in 15s and 1 replica in 15s");
  s.up.select = v1::ScalingRules::DISABLED;
  EXPECT_EQ(Describe(s.up), "this direction is switched off");
}

}  // namespace
}  // namespace bulwark::scheduler
