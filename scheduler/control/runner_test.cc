#include "scheduler/control/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "base/testing/fake_clock.h"

namespace bulwark::scheduler {
namespace {

// A reconciler that counts its calls and answers as told.
class RunnerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Runner> Make(std::vector<std::string> keys) {
    return std::make_unique<Runner>(
        RunnerOptions{.name = "test", .workers = 2}, clock_, entropy_,
        [this](const std::string& key) { return Reconcile(key); },
        [keys] { return keys; });
  }

  absl::StatusOr<Result> Reconcile(const std::string& key) {
    absl::MutexLock lock(&mu_);
    ++runs_[key];
    auto it = answers_.find(key);
    return it == answers_.end() ? Result{} : it->second;
  }

  void Answer(const std::string& key, absl::StatusOr<Result> answer) {
    absl::MutexLock lock(&mu_);
    answers_.insert_or_assign(key, std::move(answer));
  }

  // Whether `key` had `count` runs or more, soon.
  bool RanTimes(const std::string& key, int count) {
    absl::MutexLock lock(&mu_);
    auto enough = [&] { return runs_[key] >= count; };
    return mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  int Runs(const std::string& key) {
    absl::MutexLock lock(&mu_);
    return runs_[key];
  }
  // Waits until the runner has nothing to do but wait for the clock.
  bool Idle(Runner& runner, int64_t runs) {
    RealClock real;
    const absl::Duration deadline = real.Steady() + absl::Seconds(10);
    while (real.Steady() < deadline) {
      const Runner::Stats s = runner.GetStats();
      if (s.runs >= runs && s.busy_workers == 0 &&
          runner.queue().Ready() == 0) {
        return true;
      }
      std::this_thread::yield();
    }
    return false;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  absl::Mutex mu_;
  std::map<std::string, int> runs_;
  std::map<std::string, absl::StatusOr<Result>> answers_;
};

TEST_F(RunnerTest, WhenStarted_LooksAtAllKeys) {
  auto runner = Make({"a", "b"});
  runner->Start();
  EXPECT_TRUE(RanTimes("a", 1));
  EXPECT_TRUE(RanTimes("b", 1));
}

TEST_F(RunnerTest, WhenResyncIsDue_LooksAgain) {
  auto runner = Make({"a"});
  runner->Start();
  ASSERT_TRUE(RanTimes("a", 1));
  // The resync thread may begin to wait only now, so time must go on.
  for (int i = 0; i < 100 && Runs("a") < 2; ++i) {
    clock_.Advance(absl::Seconds(30));
    absl::MutexLock lock(&mu_);
    auto again = [&] { return runs_["a"] >= 2; };
    mu_.AwaitWithTimeout(absl::Condition(&again), absl::Milliseconds(100));
  }
  EXPECT_GE(Runs("a"), 2);
}

TEST_F(RunnerTest, WhenReconcilerAsksForIt_RunsAgainLater) {
  Answer("a", Result{.requeue_after = absl::Seconds(5)});
  auto runner = Make({});
  runner->Start();
  runner->Add("a");
  ASSERT_TRUE(Idle(*runner, 1));
  EXPECT_EQ(Runs("a"), 1);
  Answer("a", Result{});
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(RanTimes("a", 2));
}

TEST_F(RunnerTest, WhenErrorMayPass_RetriesUntilItDoes) {
  Answer("a", absl::UnavailableError("a: not now"));
  auto runner = Make({});
  runner->Start();
  runner->Add("a");
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Idle(*runner, i));
    EXPECT_EQ(runner->queue().Failures("a"), i);
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(RanTimes("a", i + 1));
  }
  Answer("a", Result{});
  ASSERT_TRUE(Idle(*runner, 4));
  clock_.Advance(absl::Seconds(1));
  ASSERT_TRUE(Idle(*runner, 5));
  EXPECT_EQ(runner->queue().Failures("a"), 0);
  EXPECT_EQ(runner->queue().Delayed(), 0);
  const Runner::Stats stats = runner->GetStats();
  EXPECT_EQ(stats.failures, 4);
  EXPECT_EQ(stats.retries, 4);
  EXPECT_EQ(stats.delayed, 0);
  EXPECT_EQ(stats.durations.counts.back(), 5);
}

TEST_F(RunnerTest, WhenErrorIsHopeless_WaitsLongUnlessTold) {
  Answer("a", absl::InvalidArgumentError("a: makes no sense"));
  auto runner = Make({});
  runner->Start();
  runner->Add("a");
  ASSERT_TRUE(Idle(*runner, 1));
  clock_.Advance(absl::Minutes(4));
  ASSERT_TRUE(Idle(*runner, 1));
  EXPECT_EQ(Runs("a"), 1);
  runner->Add("a");  // the object changed
  ASSERT_TRUE(RanTimes("a", 2));
  ASSERT_TRUE(Idle(*runner, 2));
  clock_.Advance(absl::Minutes(5));
  EXPECT_TRUE(RanTimes("a", 3));
}

TEST_F(RunnerTest, WhenStopped_NothingRunsAnyMore) {
  auto runner = Make({"a"});
  runner->Start();
  ASSERT_TRUE(RanTimes("a", 1));
  runner->Stop();
  const int runs = Runs("a");
  runner->Add("a");
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Runs("a"), runs);
}

}  // namespace
}  // namespace bulwark::scheduler
