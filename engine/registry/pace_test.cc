#include "engine/registry/pace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr PaceLimits kLimits = {absl::Seconds(10), 100};

TEST(PaceTest, WhenNothingMoves_EndsAfterThePatience) {
  Pace pace(kLimits);
  EXPECT_OK(pace.Check(absl::Seconds(1), 5000));
  for (int s = 2; s < 11; ++s) EXPECT_OK(pace.Check(absl::Seconds(s), 5000));
  EXPECT_THAT(pace.Check(absl::Seconds(11), 5000),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("nothing has moved for 10s")));
}

TEST(PaceTest, WhenItMovesTooSlowly_SaysHowSlowAndWhatIsWanted) {
  Pace pace(kLimits);
  for (int s = 1; s < 10; ++s) EXPECT_OK(pace.Check(absl::Seconds(s), 40 * s));
  EXPECT_THAT(pace.Check(absl::Seconds(10), 400),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("40 bytes a second over 10s, less than 100")));
}

// A fast beginning does not excuse what comes after it for ever.
TEST(PaceTest, WhenItBecomesSlow_EndsWithinTwicePatience) {
  Pace pace(kLimits);
  absl::Status status;
  int s = 1;
  for (; s < 100 && status.ok(); ++s) {
    status = pace.Check(absl::Seconds(s), 1'000'000 + 10 * s);
  }
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(s, 21);
}

TEST(PaceTest, WhenItComesInBursts_TheAverageCounts) {
  Pace pace(kLimits);
  for (int s = 1; s < 200; ++s) {
    ASSERT_OK(pace.Check(absl::Seconds(s), 1000 * (s / 9))) << s;
  }
}

TEST(PaceTest, WhenAnAnswerIsAwaited_ItMayTakeItsOwnTime) {
  Pace pace(kLimits);
  EXPECT_OK(pace.Check(absl::Seconds(9), 1'000'000));
  pace.Await(absl::Seconds(60), absl::Seconds(9));
  EXPECT_OK(pace.Check(absl::Seconds(68), 1'000'000));
  EXPECT_THAT(pace.Check(absl::Seconds(69), 1'000'000),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Once it comes, it has to come on.
  pace.Await(absl::ZeroDuration(), absl::Seconds(69));
  EXPECT_OK(pace.Check(absl::Seconds(78), 1'000'000));
  EXPECT_FALSE(pace.Check(absl::Seconds(79), 1'000'000).ok());
}

TEST(PaceTest, WhenAnyRateWillDo_OnlyStandstillEnds) {
  Pace pace({absl::Seconds(10), 0});
  for (int s = 1; s < 100; ++s) EXPECT_OK(pace.Check(absl::Seconds(s), s / 5));
}

}  // namespace
}  // namespace bulwark::engine::registry
