#include "scheduler/follow/follower.h"

#include <atomic>

#include "base/testing/status_matchers.h"
#include "base/testing/watched_clock.h"
#include "store/mem/mem_store.h"

namespace bulwark::scheduler {
namespace {

store::Key Key(const std::string& kind, const std::string& name) {
  return {kind, "default", name};
}

// Counts calls, and lets the test wait for one.
class Passes {
 public:
  void Add(const std::vector<store::Change>* changes) {
    absl::MutexLock lock(&mu_);
    if (changes == nullptr) ++full_;
    if (changes != nullptr) seen_ += static_cast<int>(changes->size());
  }
  bool AwaitFull(int n) { return Await(full_, n); }
  bool AwaitSeen(int n) { return Await(seen_, n); }

 private:
  bool Await(int& value, int n) {
    absl::MutexLock lock(&mu_);
    auto reached = [&] { return value >= n; };
    return mu_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(20));
  }
  absl::Mutex mu_;
  int full_ = 0;
  int seen_ = 0;
};

TEST(FollowerTest, LooksAtEverythingFirstAndThenAtMatchingChanges) {
  RealClock clock;
  store::MemStore store(clock);
  Passes passes;
  store::Filter filter;
  filter.kind = "a";
  Follower follower("test", store, clock, filter,
                    [&](const std::vector<store::Change>* changes) {
                      passes.Add(changes);
                      return absl::Minutes(1);
                    });
  follower.Start();
  ASSERT_TRUE(passes.AwaitFull(1));
  ASSERT_OK(store.Commit(store::Batch().Put(Key("b", "x"), "1")));
  ASSERT_OK(store.Commit(
      store::Batch().Put(Key("a", "x"), "1").Put(Key("a", "y"), "1")));
  EXPECT_TRUE(passes.AwaitSeen(2));
  follower.Stop();
}

TEST(FollowerTest, WhenAPassFails_LooksAtEverythingAgain) {
  RealClock clock;
  store::MemStore store(clock);
  Passes passes;
  std::atomic<int> calls = 0;
  Follower follower("test", store, clock, store::Filter{},
                    [&](const std::vector<store::Change>* changes)
                        -> absl::StatusOr<absl::Duration> {
                      passes.Add(changes);
                      if (calls++ == 0) return absl::UnavailableError("down");
                      return absl::Minutes(1);
                    });
  follower.Start();
  EXPECT_TRUE(passes.AwaitFull(2));
  follower.Stop();
}

class GatherTest : public ::testing::Test {
 protected:
  GatherTest() {
    follower_.Start();
    EXPECT_TRUE(passes_.AwaitFull(1));
  }
  void Commit(const char* name) {
    EXPECT_OK(store_.Commit(store::Batch().Put(Key("a", name), "1")));
  }

  static constexpr absl::Duration kGather = absl::Seconds(1);
  testing::WatchedClock clock_;
  store::MemStore store_{clock_};
  Passes passes_;
  std::atomic<int> calls_{0};
  Follower follower_{"test",
                     store_,
                     clock_,
                     store::Filter{},
                     [this](const std::vector<store::Change>* changes) {
                       if (changes != nullptr) ++calls_;
                       passes_.Add(changes);
                       return absl::Hours(1);
                     },
                     kGather};
};

TEST_F(GatherTest, WhenCommitsComeMeanwhile_TheyAreLookedAtTogether) {
  Commit("x");
  ASSERT_TRUE(clock_.AwaitDeadline(clock_.Steady() + kGather));
  Commit("y");
  Commit("z");
  EXPECT_EQ(calls_, 0);
  clock_.Advance(kGather);
  EXPECT_TRUE(passes_.AwaitSeen(3));
  EXPECT_EQ(calls_, 1);
  // The next one begins anew.
  Commit("w");
  ASSERT_TRUE(clock_.AwaitDeadline(clock_.Steady() + kGather));
  EXPECT_EQ(calls_, 1);
  clock_.Advance(kGather);
  EXPECT_TRUE(passes_.AwaitSeen(4));
}

TEST_F(GatherTest, WhenStoppedMeanwhile_StopsAtOnce) {
  Commit("x");
  ASSERT_TRUE(clock_.AwaitDeadline(clock_.Steady() + kGather));
  follower_.Stop();  // though the clock stands still
  EXPECT_EQ(calls_, 0);
}

TEST(FollowerTest, WhenStoppedWhileWaiting_StopsAtOnce) {
  RealClock clock;
  store::MemStore store(clock);
  Passes passes;
  Follower follower("test", store, clock, store::Filter{},
                    [&](const std::vector<store::Change>* changes) {
                      passes.Add(changes);
                      return absl::Hours(1);
                    });
  follower.Start();
  ASSERT_TRUE(passes.AwaitFull(1));
  const absl::Duration before = clock.Steady();
  follower.Stop();
  EXPECT_LT(clock.Steady() - before, absl::Seconds(5));
}

}  // namespace
}  // namespace bulwark::scheduler
