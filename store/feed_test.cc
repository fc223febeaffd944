// Who is woken by a commit, and what it then sees.
#include "store/feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;

// What the waits of this thread go by, if anything: not by a ring, but until it
// is notified. All that time the bell's own lock is held.
thread_local absl::Notification* held_by = nullptr;

// Real time, and how often somebody began to wait. The feed knows of a wait
// before it begins.
class CountingClock final : public Clock {
 public:
  absl::Time Now() override { return real_.Now(); }
  absl::Duration Steady() override { return real_.Steady(); }
  void Sleep(absl::Duration d) override { real_.Sleep(d); }
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    ++waits_;
    if (held_by != nullptr) {
      std::exchange(held_by, nullptr)->WaitForNotification();
      return condition.Eval();
    }
    return real_.AwaitUntil(mu, condition, deadline);
  }
  // Whether somebody has waited for the `count`th time within 10 s.
  bool Reaches(int count) {
    const absl::Duration deadline = Steady() + absl::Seconds(10);
    while (waits_ < count && Steady() < deadline) Sleep(absl::Milliseconds(1));
    return waits_ >= count;
  }
  int waits() const { return waits_; }

 private:
  RealClock real_;
  std::atomic<int> waits_{0};
};

std::vector<CommitPtr> Commit(uint64_t revision, const std::string& kind) {
  auto entry = std::make_shared<CommitEntry>();
  entry->revision = revision;
  Change change;
  change.revision = revision;
  change.key = {kind, "p", "n"};
  entry->changes.push_back(std::move(change));
  return {std::move(entry)};
}

class FeedTest : public ::testing::Test {
 protected:
  void Start(const std::string& kind) {
    Filter filter;
    filter.kind = kind;
    ASSERT_OK_AND_ASSIGN(watcher_, feed_.Watch(7, filter));
    thread_ = std::thread(
        [this] { seen_ = watcher_->Next(absl::InfiniteDuration()); });
    ASSERT_TRUE(clock_.Reaches(1));
  }
  void TearDown() override {
    feed_.Close();
    if (thread_.joinable()) thread_.join();
    watcher_.reset();
  }

  CountingClock clock_;
  // Without a loader: whoever falls behind is lost.
  Feed feed_{clock_, 7, {.commits = 8}, nullptr};
  std::unique_ptr<Watcher> watcher_;
  absl::StatusOr<std::vector<Change>> seen_ = absl::UnknownError("not yet");
  std::thread thread_;
};

TEST_F(FeedTest, WhenOthersChange_AWaiterSleepsAndMissesNothing) {
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  for (uint64_t r = 8; r < 30; ++r) feed_.Publish(Commit(r, "event"));
  EXPECT_EQ(watcher_->Revision(), 29u);
  EXPECT_EQ(clock_.waits(), 1);
  feed_.Publish(Commit(30, "service"));
  thread_.join();
  ASSERT_OK(seen_);
  ASSERT_EQ(seen_->size(), 1u);
  EXPECT_EQ(seen_->front().revision, 30u);
  EXPECT_EQ(clock_.waits(), 1);
}

TEST_F(FeedTest, WhenOneCommitOfAGroupConcernsIt_AWaiterSeesIt) {
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  std::vector<CommitPtr> group = Commit(9, "event");
  group.push_back(Commit(10, "service").front());
  group.push_back(Commit(12, "event").front());
  feed_.Publish(std::move(group));
  // Not woken yet, maybe: what follows must not push it past the news.
  feed_.Publish(Commit(13, "event"));
  thread_.join();
  ASSERT_OK(seen_);
  ASSERT_EQ(seen_->size(), 1u);
  EXPECT_EQ(seen_->front().revision, 10u);
}

TEST_F(FeedTest, WhenCancelledAfterOthersChanged_AWaiterEnds) {
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  feed_.Publish(Commit(8, "event"));
  watcher_->Cancel();
  thread_.join();
  EXPECT_THAT(seen_.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(FeedTest, WhenTheFeedCloses_AWaiterEnds) {
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  feed_.Close();
  thread_.join();
  EXPECT_THAT(seen_.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(FeedTest, WhenResetFurther_AWaiterIsToldToListAgain) {
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  feed_.Reset(20);
  thread_.join();
  EXPECT_THAT(seen_.status(), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(FeedTest, WhenResetBack_AWaiterSleepsUntilSomethingIsNew) {
  feed_.Publish(Commit(9, "event"));
  ASSERT_NO_FATAL_FAILURE(Start("service"));
  feed_.Publish(Commit(12, "event"));
  feed_.Reset(9);
  // Revisions are not used twice.
  feed_.Publish(Commit(1001, "event"));
  thread_.join();
  EXPECT_THAT(seen_.status(), StatusIs(absl::StatusCode::kOutOfRange));
}

// Several waiters, and a Publish() that is held up half way.
class FeedBellsTest : public ::testing::Test {
 protected:
  struct Waiter {
    std::unique_ptr<Watcher> watcher;
    absl::Notification go;  // ends a wait that is held
    absl::Notification woken;
    std::thread thread;
    absl::StatusOr<std::vector<Change>> seen = absl::UnknownError("not yet");
  };

  // A thread that waits: until `go` if `held`, with the lock of its bell.
  std::unique_ptr<Waiter> Wait(const std::string& kind, bool held) {
    auto waiter = std::make_unique<Waiter>();
    Filter filter;
    filter.kind = kind;
    auto watcher = feed_.Watch(7, filter);
    EXPECT_OK(watcher);
    waiter->watcher = *std::move(watcher);
    const int before = clock_.waits();
    waiter->thread = std::thread([w = waiter.get(), held] {
      if (held) held_by = &w->go;
      w->seen = w->watcher->Next(absl::InfiniteDuration());
      w->woken.Notify();
    });
    EXPECT_TRUE(clock_.Reaches(before + 1));
    return waiter;
  }
  // Publishes in a thread of its own; returns once that is at the bells.
  std::thread Publish(uint64_t revision, const std::string& kind) {
    std::thread thread(
        [this, revision, kind] { feed_.Publish(Commit(revision, kind)); });
    feed_.AwaitRevision(revision);
    return thread;
  }

  CountingClock clock_;
  Feed feed_{clock_, 7, {.commits = 1 << 20}, nullptr};
};

TEST_F(FeedBellsTest, WhenAWatcherOfAllIsSlow_ThoseOfOneKindAreWokenBefore) {
  const auto all = Wait("", true);
  const auto one = Wait("service", false);
  std::thread publish = Publish(8, "service");
  // The first in line cannot be rung yet.
  EXPECT_TRUE(one->woken.WaitForNotificationWithTimeout(absl::Seconds(10)));
  all->go.Notify();
  all->thread.join();
  one->thread.join();
  publish.join();
  ASSERT_OK(one->seen);
  EXPECT_EQ(one->seen->size(), 1u);
  ASSERT_OK(all->seen);
  EXPECT_EQ(all->seen->size(), 1u);
}

TEST_F(FeedBellsTest, WhenItIsGoneBeforeItIsRung_NobodyMinds) {
  const auto slow = Wait("service", true);
  auto gone = Wait("service", true);
  std::thread publish = Publish(8, "service");
  gone->go.Notify();
  gone->thread.join();
  ASSERT_OK(gone->seen);
  EXPECT_EQ(gone->seen->size(), 1u);
  gone = nullptr;
  slow->go.Notify();
  slow->thread.join();
  publish.join();
}

TEST_F(FeedBellsTest, WhenRungForWhatItHasSeen_AWaiterSleepsOn) {
  const auto slow = Wait("service", true);
  const auto late = Wait("service", true);
  std::thread publish = Publish(8, "service");
  late->go.Notify();
  late->thread.join();
  const int before = clock_.waits();
  late->thread = std::thread(
      [&] { late->seen = late->watcher->Next(absl::InfiniteDuration()); });
  ASSERT_TRUE(clock_.Reaches(before + 1));
  slow->go.Notify();
  publish.join();  // both are rung
  slow->thread.join();
  feed_.Publish(Commit(9, "service"));
  late->thread.join();
  ASSERT_OK(late->seen);
  ASSERT_EQ(late->seen->size(), 1u);
  EXPECT_EQ(late->seen->front().revision, 9u);
}

TEST_F(FeedBellsTest, WhenManyPublishAndWait_NobodySleepsOnNews) {
  constexpr int kPublishers = 4;
  constexpr int kWatchers = 8;
  constexpr uint64_t kEach = 500;
  constexpr absl::Duration kTooLong = absl::Seconds(20);
  const std::string kinds[] = {"service", "replica", "event", ""};
  std::vector<std::thread> threads;
  for (int i = 0; i < kWatchers; ++i) {
    const std::string& kind = kinds[i % 4];
    threads.emplace_back([&, kind] {
      Filter filter;
      filter.kind = kind;
      ASSERT_OK_AND_ASSIGN(const auto watcher, feed_.Watch(7, filter));
      uint64_t due = kPublishers * kEach;
      // Publishers 0 and 3 tell of services.
      if (kind == "service") due = 2 * kEach;
      if (kind == "replica" || kind == "event") due = kEach;
      for (uint64_t seen = 0, last = 7; seen < due;) {
        const absl::Duration begin = clock_.Steady();
        ASSERT_OK_AND_ASSIGN(const auto changes, watcher->Next(kTooLong));
        ASSERT_LT(clock_.Steady() - begin, kTooLong);
        ASSERT_FALSE(changes.empty());
        for (const Change& change : changes) {
          EXPECT_GT(change.revision, last);
          last = change.revision;
        }
        seen += changes.size();
      }
    });
  }
  // Begins to wait, is told, is cancelled and goes, again and again.
  std::atomic<bool> over{false};
  threads.emplace_back([&] {
    while (!over) {
      ASSERT_OK_AND_ASSIGN(const auto watcher,
                           feed_.Watch(feed_.Current(), {}));
      std::thread cancel([&] { watcher->Cancel(); });
      while (watcher->Next(kTooLong).ok()) {
      }
      cancel.join();
    }
  });
  absl::Mutex mu;  // as stores do: one Publish() after another
  uint64_t revision = 7;
  std::vector<std::thread> publishers;
  for (int p = 0; p < kPublishers; ++p) {
    publishers.emplace_back([&, kind = kinds[p % 3]] {
      for (uint64_t i = 0; i < kEach; ++i) {
        absl::MutexLock lock(&mu);
        feed_.Publish(Commit(++revision, kind));
      }
    });
  }
  for (std::thread& thread : publishers) thread.join();
  over = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FeedBellsTest, WhenToldJustAsTheyBeginToWait_AllAreWoken) {
  constexpr int kWatchers = 4;
  constexpr int kRounds = 5000;
  std::atomic<int> seen{0};
  std::vector<std::unique_ptr<Watcher>> watchers;
  std::vector<std::thread> threads;
  for (int i = 0; i < kWatchers; ++i) {
    ASSERT_OK_AND_ASSIGN(auto watcher, feed_.Watch(7, {}));
    watchers.push_back(std::move(watcher));
    threads.emplace_back([&seen, w = watchers.back().get()] {
      while (w->Next(absl::InfiniteDuration()).ok()) ++seen;
    });
  }
  const absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
  for (int round = 1; round <= kRounds; ++round) {
    feed_.Publish(Commit(7 + round, "event"));
    while (seen < round * kWatchers && clock_.Steady() < deadline) {
      std::this_thread::yield();
    }
    if (seen < round * kWatchers) break;
  }
  feed_.Close();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen, kRounds * kWatchers);
}

TEST_F(FeedBellsTest, WhenItCloses_AllWaitersEnd) {
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (const char* kind : {"", "service", "event", ""}) {
    waiters.push_back(Wait(kind, false));
  }
  feed_.Close();
  for (const auto& waiter : waiters) {
    waiter->thread.join();
    EXPECT_THAT(waiter->seen.status(), StatusIs(absl::StatusCode::kCancelled));
  }
}

}  // namespace
}  // namespace bulwark::store
