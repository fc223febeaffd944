#include "scheduler/imageupdate/lookup_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/images/fake_images.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::FakeClock;
using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;

constexpr absl::Duration kAge = absl::Minutes(10);

class LookupCacheTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  engine::FakeImages images_;
  LookupCache cache_{images_, clock_};
};

TEST_F(LookupCacheTest, WhenManyAsk_TheRegistryIsAskedOnceInThatTime) {
  const std::string digest = images_.Publish("r.local/app:1").digest;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        EXPECT_THAT(cache_.Get("r.local/app:1", kAge), IsOkAndHolds(digest));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(images_.lookups(), 1);
  const std::string moved = images_.Publish("r.local/app:1", 2).digest;
  EXPECT_THAT(cache_.Get("r.local/app:1", kAge), IsOkAndHolds(digest));
  clock_.Advance(kAge);
  EXPECT_THAT(cache_.Get("r.local/app:1", kAge), IsOkAndHolds(moved));
  EXPECT_EQ(images_.lookups(), 2);
}

TEST_F(LookupCacheTest, WhenARegistryIsDown_ItIsLeftAloneForAMinute) {
  images_.Publish("r.local/app:1");
  images_.Publish("r.local/web:1");
  images_.Publish("other/web:1");
  images_.FailLookups(absl::UnavailableError("down"));
  EXPECT_THAT(cache_.Get("r.local/app:1", kAge),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(cache_.Get("r.local/web:1", kAge),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(images_.lookups(), 1);
  EXPECT_OK(cache_.Get("other/web:1", kAge).status());
  clock_.Advance(absl::Minutes(1));
  EXPECT_OK(cache_.Get("r.local/web:1", kAge).status());
  EXPECT_OK(cache_.Get("r.local/app:1", kAge).status());
}

TEST_F(LookupCacheTest, WhenAnImageIsNotThere_OthersAreAskedFor) {
  images_.Publish("r.local/web:1");
  EXPECT_THAT(cache_.Get("r.local/app:1", kAge),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(cache_.Get("r.local/web:1", kAge).status());
}

}  // namespace
}  // namespace bulwark::scheduler
