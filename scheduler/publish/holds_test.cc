#include "scheduler/publish/holds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;

// Pools with so many ready endpoints each, and a draining one.
dp::Snapshot Pools(const std::vector<std::pair<const char*, int>>& pools) {
  dp::Snapshot snapshot;
  for (const auto& [id, ready] : pools) {
    dp::Pool& pool = *snapshot.add_pools();
    pool.set_id(id);
    pool.add_endpoints()->set_state(dp::Endpoint::DRAINING);
    for (int i = 0; i < ready; ++i) {
      pool.add_endpoints()->set_state(dp::Endpoint::READY);
    }
  }
  return snapshot;
}

std::string Told(const std::vector<HoldTracker::News>& news) {
  return absl::StrJoin(news, " ", [](std::string* out, const auto& n) {
    absl::StrAppend(out, n.held ? "-" : "+", n.service);
  });
}

TEST(HoldTrackerTest, TellsOfChangesOnly) {
  HoldTracker tracker;
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/web/http", 0}}))), "");
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/web/http", 1}}))), "");
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/web/http", 0}}))),
            "-default/web");
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/web/http", 0}}))), "");
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/web/http", 2}}))),
            "+default/web");
}

TEST(HoldTrackerTest, EachServiceIsToldOnceForAllItsPorts) {
  HoldTracker tracker;
  tracker.Take(Pools({{"default/a/x", 1}, {"default/a/y", 1}, {"p/b/z", 1}}));
  EXPECT_EQ(Told(tracker.Take(
                Pools({{"default/a/x", 1}, {"default/a/y", 0}, {"p/b/z", 0}}))),
            "-default/a -p/b");
  // What is stopped or gone has no pool, and is forgotten.
  EXPECT_EQ(Told(tracker.Take(Pools({{"p/b/z", 1}}))), "+p/b");
  EXPECT_EQ(Told(tracker.Take(Pools({{"default/a/x", 0}, {"p/b/z", 1}}))), "");
}

TEST(HoldTrackerTest, APausedPoolIsHeld) {
  HoldTracker tracker;
  dp::Snapshot snapshot = Pools({{"default/web/http", 1}});
  tracker.Take(snapshot);
  snapshot.mutable_pools(0)->set_paused(true);
  EXPECT_EQ(Told(tracker.Take(snapshot)), "-default/web");
}

TEST(ReleaseSentenceTest, CountsWhatHappenedMeanwhile) {
  EXPECT_EQ(ReleaseSentence({1, 1}, {1, 1}), "a replica is ready again");
  EXPECT_EQ(ReleaseSentence({1, 1}, {4, 1}),
            "a replica is ready again; 3 connections waited");
  EXPECT_EQ(
      ReleaseSentence({0, 0}, {1, 2}),
      "a replica is ready again; 1 connection waited, 2 were closed unserved");
  EXPECT_EQ(ReleaseSentence({0, 0}, {0, 1}),
            "a replica is ready again; 1 was closed unserved");
  // The proxy has been started anew.
  EXPECT_EQ(ReleaseSentence({100, 5}, {2, 0}),
            "a replica is ready again; 2 connections waited");
}

TEST(HoldCountsTest, SumsThePoolsOfTheService) {
  dp::Stats stats;
  for (const char* id : {"default/web/a", "default/web/b", "default/web2/a"}) {
    dp::PoolStats& pool = *stats.add_pools();
    pool.set_pool(id);
    pool.set_held_total(2);
    pool.set_failed_total(1);
  }
  const HoldCounts counts = CountsOf(stats, "default/web");
  EXPECT_EQ(counts.held, 4u);
  EXPECT_EQ(counts.failed, 2u);
}

}  // namespace
}  // namespace bulwark::scheduler
