#include "scheduler/control/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/watched_clock.h"

namespace bulwark::scheduler {
namespace {

using ::testing::Optional;

class WorkQueueTest : public ::testing::Test {
 protected:
  // The ready key, without blocking for long: a queue with nothing ready is
  // shut down by the test first.
  std::string Take() { return queue_.Get().value_or("(shut down)"); }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  WorkQueue queue_{clock_, entropy_};
};

TEST_F(WorkQueueTest, WhenAddedTwice_IsThereOnce) {
  queue_.Add("a");
  queue_.Add("b");
  queue_.Add("a");
  EXPECT_EQ(queue_.Ready(), 2);
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(Take(), "b");
  EXPECT_EQ(queue_.Ready(), 0);
}

TEST_F(WorkQueueTest, WhenAddedDuringProcessing_ComesAgainAfterDone) {
  queue_.Add("a");
  EXPECT_EQ(Take(), "a");
  queue_.Add("a");
  queue_.Add("a");
  EXPECT_EQ(queue_.Ready(), 0);  // not for a second worker

  queue_.Done("a");

  EXPECT_EQ(queue_.Ready(), 1);
  EXPECT_EQ(Take(), "a");
  queue_.Done("a");
  EXPECT_EQ(queue_.Ready(), 0);
}

TEST_F(WorkQueueTest, WhenDelayed_ComesAtItsTime) {
  queue_.AddAfter("late", absl::Seconds(10));
  queue_.AddAfter("soon", absl::Seconds(5));
  queue_.Add("now");
  EXPECT_EQ(Take(), "now");
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Take(), "soon");
  EXPECT_EQ(queue_.Delayed(), 1);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Take(), "late");
}

TEST_F(WorkQueueTest, WhenDelayedTwice_TheEarlierTimeWins) {
  queue_.AddAfter("a", absl::Seconds(10));
  queue_.AddAfter("a", absl::Seconds(2));
  queue_.AddAfter("a", absl::Seconds(20));
  EXPECT_EQ(queue_.Delayed(), 1);
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(queue_.Delayed(), 0);
}

TEST_F(WorkQueueTest, WhenAddedWhileDelayed_IsReadyAtOnce) {
  queue_.AddAfter("a", absl::Seconds(10));
  queue_.Add("a");
  EXPECT_EQ(Take(), "a");
}

TEST_F(WorkQueueTest, WhenBlocked_AnEarlierDelayWakesIt) {
  queue_.AddAfter("late", absl::Hours(1));
  std::optional<std::string> got;
  std::thread worker([&] { got = queue_.Get(); });
  queue_.AddAfter("soon", absl::Seconds(1));
  clock_.Advance(absl::Seconds(1));
  worker.join();
  EXPECT_THAT(got, Optional(std::string("soon")));
}

// One worker waits for what is due; another has to when that one is busy.
TEST_F(WorkQueueTest, WhenWhoeverKeepsTheTimeIsBusy_AnotherWorkerDoes) {
  absl::Mutex mu;
  int taken = 0;
  bool go_on = false;
  std::vector<std::thread> workers;
  for (int w = 0; w < 3; ++w) {
    workers.emplace_back([&] {
      while (auto key = queue_.Get()) {
        absl::MutexLock lock(&mu);
        ++taken;
        mu.Await(absl::Condition(&go_on));
        queue_.Done(*key);
      }
    });
  }
  // Each with a worker for itself, none of whom comes back.
  for (int i = 1; i <= 3; ++i) {
    queue_.AddAfter(absl::StrCat(i), absl::Seconds(i));
  }
  for (int i = 1; i <= 3; ++i) {
    clock_.Advance(absl::Seconds(1));
    absl::MutexLock lock(&mu);
    const auto there = [&] { return taken >= i; };
    EXPECT_TRUE(
        mu.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20)));
    EXPECT_EQ(taken, i);
  }
  {
    absl::MutexLock lock(&mu);
    go_on = true;
  }
  queue_.ShutDown();
  for (std::thread& t : workers) t.join();
}

// Of two that wait, the one that keeps the timer takes a key and stays away:
// the other has to see to what is due.
TEST(WorkQueueTimerTest, WhenItsKeeperIsBusy_ADelayFindsAnother) {
  testing::WatchedClock clock;
  SeededEntropy entropy{1};
  WorkQueue queue(clock, entropy);
  absl::Mutex mu;
  bool busy = false, go_on = false, got_late = false;
  std::vector<std::thread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&] {
      while (auto key = queue.Get()) {
        absl::MutexLock lock(&mu);
        (*key == "late" ? got_late : busy) = true;
        if (*key != "late") mu.Await(absl::Condition(&go_on));
        queue.Done(*key);
      }
    });
  }
  ASSERT_TRUE(clock.AwaitWaits(2));
  // Its keeper alone is woken by the time.
  queue.AddAfter("first", absl::Seconds(1));
  clock.Advance(absl::Seconds(1));
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&busy), absl::Seconds(20)));
  }
  queue.AddAfter("late", absl::Seconds(1));
  clock.Advance(absl::Seconds(1));
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(
        mu.AwaitWithTimeout(absl::Condition(&got_late), absl::Seconds(20)));
    go_on = true;
  }
  queue.ShutDown();
  for (std::thread& t : workers) t.join();
}

TEST_F(WorkQueueTest, WhenFailingAgain_DelayDoublesUpToTheMaximum) {
  // Full jitter: each delay lies within (0, 50 ms doubled n times].
  absl::Duration cap = absl::Milliseconds(50);
  absl::Duration longest;
  for (int i = 0; i < 30; ++i) {
    const absl::Duration delay = queue_.AddAfterFailure("a");
    EXPECT_GT(delay, absl::ZeroDuration());
    EXPECT_LE(delay, cap);
    cap = std::min(2 * cap, absl::Seconds(60));
    longest = std::max(longest, delay);
  }
  EXPECT_GT(longest, absl::Seconds(30));
  EXPECT_EQ(queue_.Delayed(), 1);
  EXPECT_EQ(queue_.Failures("a"), 30);
}

TEST_F(WorkQueueTest, WhenForgotten_DelaysBeginAnew) {
  for (int i = 0; i < 20; ++i) queue_.AddAfterFailure("a");
  queue_.Forget("a");
  EXPECT_EQ(queue_.Failures("a"), 0);
  EXPECT_LE(queue_.AddAfterFailure("a"), absl::Milliseconds(50));
}

TEST_F(WorkQueueTest, WhenFailed_TheDelayIsNotCutShortByAnOlderOne) {
  queue_.AddAfter("a", absl::Milliseconds(1));
  queue_.AddAfterFailure("a", absl::Minutes(5));
  clock_.Advance(absl::Minutes(4));
  queue_.Add("probe");
  EXPECT_EQ(Take(), "probe");
  EXPECT_EQ(queue_.Ready(), 0);
  queue_.AddUnlessFailed("a");
  EXPECT_EQ(queue_.Ready(), 0);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(Take(), "a");
}

TEST_F(WorkQueueTest, WhenShutDown_GetReturnsNothing) {
  std::optional<std::string> got = "?";
  std::thread worker([&] { got = queue_.Get(); });
  queue_.ShutDown();
  worker.join();
  EXPECT_EQ(got, std::nullopt);
  queue_.Add("a");
  EXPECT_EQ(queue_.Get(), std::nullopt);
}

TEST_F(WorkQueueTest, WhenManyWorkersAndAdders_NoKeyIsWithTwoAndNoneIsLost) {
  constexpr int kKeys = 7;
  constexpr int kAdds = 3000;
  std::atomic<int> inside[kKeys] = {};
  std::atomic<int> asked[kKeys] = {};  // additions so far
  std::atomic<int> seen[kKeys] = {};   // additions known at the last run
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      while (auto key = queue_.Get()) {
        const int k = std::stoi(*key);
        EXPECT_EQ(inside[k].fetch_add(1), 0);
        seen[k] = asked[k].load();
        std::this_thread::yield();
        inside[k].fetch_sub(1);
        queue_.Done(*key);
      }
    });
  }
  std::vector<std::thread> adders;
  for (int a = 0; a < 3; ++a) {
    adders.emplace_back([&, a] {
      for (int i = 0; i < kAdds; ++i) {
        const int k = (i * (a + 1)) % kKeys;
        ++asked[k];
        queue_.Add(absl::StrCat(k));
      }
    });
  }
  for (std::thread& t : adders) t.join();
  RealClock real;
  const absl::Duration deadline = real.Steady() + absl::Seconds(20);
  const auto behind = [&] {
    for (int k = 0; k < kKeys; ++k) {
      if (seen[k] != asked[k]) return true;
    }
    return false;
  };
  while (behind() && real.Steady() < deadline) std::this_thread::yield();
  EXPECT_FALSE(behind());
  queue_.ShutDown();
  for (std::thread& t : workers) t.join();
}

}  // namespace
}  // namespace bulwark::scheduler
