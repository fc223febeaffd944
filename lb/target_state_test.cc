#include "lb/target_state.h"

#include <gtest/gtest.h>

namespace bulwark::lb {
namespace {

constexpr int64_t kStart = 1'000'000'000'000;
constexpr int64_t kEjection = TargetState::kEjectionNs;

bool FailTimes(TargetState& target, int times) {
  bool due = false;
  for (int i = 0; i < times; ++i) due = target.RecordFailure();
  return due;
}

TEST(TargetStateTest, WhenFourConnectsFail_IsNotDue) {
  TargetState target;
  EXPECT_FALSE(FailTimes(target, 4));
  EXPECT_FALSE(target.Ejected(kStart));
}

TEST(TargetStateTest, WhenFifthConnectFails_IsDueOnce) {
  TargetState target;
  EXPECT_TRUE(FailTimes(target, 5));
  target.Eject(kStart);
  EXPECT_TRUE(target.Ejected(kStart));
  EXPECT_FALSE(FailTimes(target, 1));
}

TEST(TargetStateTest, WhenConnectSucceedsBetween_CountsAnew) {
  TargetState target;
  FailTimes(target, 4);
  target.RecordSuccess(kStart);
  EXPECT_FALSE(FailTimes(target, 4));
  EXPECT_TRUE(FailTimes(target, 1));
}

TEST(TargetStateTest, WhenEjectedAgain_StaysOutLonger) {
  struct Case {
    int ejection;
    int64_t factor;
  };
  TargetState target;
  int64_t now = kStart;
  for (const Case& c : {Case{1, 1}, Case{2, 2}, Case{3, 3}}) {
    target.Eject(now);
    EXPECT_TRUE(target.Ejected(now + c.factor * kEjection - 1)) << c.ejection;
    EXPECT_FALSE(target.Ejected(now + c.factor * kEjection)) << c.ejection;
    now += c.factor * kEjection;
  }
}

TEST(TargetStateTest, WhenEjectedVeryOften_FactorIsBounded) {
  TargetState target;
  int64_t now = kStart;
  for (int i = 0; i < 40; ++i) {
    target.Eject(now);
    now += TargetState::kMaxFactor * kEjection;
  }
  target.Eject(now);
  EXPECT_FALSE(target.Ejected(now + TargetState::kMaxFactor * kEjection));
}

TEST(TargetStateTest, WhenEjectedWhileEjected_NothingChanges) {
  TargetState target;
  target.Eject(kStart);
  target.Eject(kStart + 1);
  EXPECT_FALSE(target.Ejected(kStart + kEjection));
}

TEST(TargetStateTest, WhenHealthyForLong_IsForgiven) {
  TargetState target;
  target.Eject(kStart);
  target.Eject(kStart + kEjection);
  const int64_t later = kStart + 3 * kEjection + TargetState::kForgiveNs + 1;
  target.RecordSuccess(later);
  target.Eject(later);
  EXPECT_FALSE(target.Ejected(later + kEjection));
}

}  // namespace
}  // namespace bulwark::lb
