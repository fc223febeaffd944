#include "scheduler/replica/id_pool.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using netmesh::IdRange;

constexpr IdPool kPool = {1000000, 3};

TEST(IdPoolTest, WhenSomeAreUsed_TheLowestFreeRangeIsPicked) {
  const IdRange first = {1000000, 65536};
  const IdRange second = {1065536, 65536};
  const IdRange third = {1131072, 65536};
  EXPECT_THAT(PickIds(kPool, {}), IsOkAndHolds(first));
  EXPECT_THAT(PickIds(kPool, {first}), IsOkAndHolds(second));
  EXPECT_THAT(PickIds(kPool, {third, first}), IsOkAndHolds(second));
  EXPECT_THAT(PickIds(kPool, {second, {}}), IsOkAndHolds(first));
}

// Of a daemon with another base.
TEST(IdPoolTest, WhenAForeignRangeReachesIn_WhatItTouchesIsLeft) {
  const IdRange third = {1131072, 65536};
  EXPECT_THAT(PickIds(kPool, {{999999, 65538}}), IsOkAndHolds(third));
  EXPECT_THAT(PickIds(kPool, {{5, 10}, {0xfffff000, 0xfff}}),
              IsOkAndHolds(IdRange{1000000, 65536}));
}

TEST(IdPoolTest, WhenAllAreUsed_SaysSoAndItMayPass) {
  EXPECT_THAT(PickIds(kPool, {{1, 0xffffff00}}),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace bulwark::scheduler
