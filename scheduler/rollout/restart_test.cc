#include "scheduler/rollout/restart.h"

#include <gtest/gtest.h>

#include "scheduler/rollout/world.h"

namespace bulwark::scheduler {
namespace {

Replacement After(int attempt, absl::Duration ran = absl::Seconds(1),
                  const std::string& reason = "Error") {
  World world;
  world.Crashed(1, 0, absl::ZeroDuration(), attempt, ran, reason);
  return ReplacementOf(&world.view.replicas[0], world.view.now);
}
absl::Duration DelayAfter(int attempt) {
  return After(attempt).not_before - World().view.now;
}

TEST(ReplacementTest, WhenFailingInARow_TheDelayDoublesToAMinute) {
  EXPECT_EQ(After(0).not_before, absl::InfinitePast());  // at once
  EXPECT_EQ(After(0).attempt, 1);
  for (auto [attempt, seconds] : std::vector<std::pair<int, int>>{
           {1, 1}, {2, 2}, {3, 4}, {6, 32}, {7, 60}, {30, 60}}) {
    EXPECT_LE(DelayAfter(attempt), absl::Seconds(seconds)) << attempt;
    EXPECT_GE(DelayAfter(attempt), absl::Seconds(seconds) * 0.8) << attempt;
    EXPECT_EQ(After(attempt).attempt, attempt + 1);
  }
}

TEST(ReplacementTest, WhenItRanAMinute_StartsAnew) {
  EXPECT_EQ(After(7, absl::Seconds(60)).attempt, 1);
  EXPECT_EQ(After(7, absl::Seconds(60)).not_before, absl::InfinitePast());
  EXPECT_EQ(After(7, absl::Seconds(59)).attempt, 8);
}

TEST(ReplacementTest, WhenTheHostRebooted_ThatIsNoFailure) {
  EXPECT_EQ(After(7, absl::Seconds(1), "HostReboot").attempt, 0);
}

TEST(ReplacementTest, WhenNothingEnded_StartsAtOnce) {
  EXPECT_EQ(ReplacementOf(nullptr, World().view.now).attempt, 0);
}

TEST(ReplacementTest, WhenTheClockWasSetBack_DoesNotWaitForTheFuture) {
  World world;
  world.Crashed(1, 0, -absl::Hours(3), 4);
  EXPECT_EQ(ReplacementOf(&world.view.replicas[0], world.view.now).not_before,
            absl::InfinitePast());
}

TEST(ReplacementTest, WhenAskedTwice_AnswersTheSame) {
  EXPECT_EQ(DelayAfter(5), DelayAfter(5));
}

}  // namespace
}  // namespace bulwark::scheduler
