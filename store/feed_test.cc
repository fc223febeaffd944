// Who is woken by a commit, and what it then sees.
#include "store/feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;

// Real time, and how often somebody began to wait. The feed's lock is held when
// a wait begins, so whoever takes it afterwards finds the waiter asleep.
class CountingClock final : public Clock {
 public:
  absl::Time Now() override { return real_.Now(); }
  absl::Duration Steady() override { return real_.Steady(); }
  void Sleep(absl::Duration d) override { real_.Sleep(d); }
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    ++waits_;
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

}  // namespace
}  // namespace bulwark::store
