// Commits that wait a little for the one that follows them: one sync for both,
// and never an acknowledgement of what is not on the disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "rocksdb/env.h"
#include "store/rocks/rocks_store.h"
#include "store/rocks/unsynced_fs.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;
using ::testing::Not;

const Key kA{"service", "shop", "a"};
const Key kB{"replica", "shop", "b"};
const Key kC{"service", "shop", "c"};

// Fake time. Whoever waits by it looks again only when something has happened
// to what he waits for, and not every moment, if it is lazy.
class LazyClock final : public testing::FakeClock {
 public:
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return lazy_ ? mu.AwaitWithTimeout(condition, absl::Seconds(10))
                 : FakeClock::AwaitUntil(mu, condition, deadline);
  }
  void SetLazy() { lazy_ = true; }

 private:
  std::atomic<bool> lazy_{false};
};

// Its clock stands still: who waits for a follower does so until one comes, or
// until the test lets the time pass.
class StoreFollowedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.path = dir_ / "store";
    options_.reserve_bytes = 0;
    options_.min_free_bytes = 0;
    options_.checkpoint_every = absl::InfiniteDuration();
    options_.env = env_.get();
    Open();
    // The first one promises numbers, and is synced for that.
    ASSERT_OK(store_->Commit(Batch().Put(kC, "0")));
    auto watcher = store_->Watch(store_->CurrentRevision(), {});
    ASSERT_OK(watcher);
    watcher_ = *std::move(watcher);
  }
  void TearDown() override {
    if (thread_.joinable()) Join();
  }
  void Open() {
    watcher_ = nullptr;
    store_ = nullptr;
    auto store = RocksStore::Open(options_, clock_, entropy_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }

  // Commits it in another thread, and waits until it is seen.
  void CommitFollowed() {
    done_ = std::make_unique<absl::Notification>();
    thread_ = std::thread([this] {
      followed_ =
          store_->Commit(Batch().Put(kA, "declared").SeenEarlyAndFollowed());
      done_->Notify();
    });
    ASSERT_OK_AND_ASSIGN(const auto seen,
                         watcher_->Next(absl::InfiniteDuration()));
    ASSERT_EQ(seen.size(), 1u);
    seen_ = seen.front().revision;
  }
  absl::StatusOr<uint64_t> Follow() {
    return store_->Commit(Batch().Put(kB, "planned").SeenEarly());
  }
  // Lets its time pass, should it still wait.
  void Join() {
    while (!done_->WaitForNotificationWithTimeout(absl::Milliseconds(5))) {
      clock_.Sleep(absl::Milliseconds(1));
    }
    thread_.join();
  }
  // What the power leaves of it now.
  void CutPower() {
    disk_->Crash();
    watcher_ = nullptr;
    store_ = nullptr;
    disk_->Restart(UnsyncedFs::Loss::kEverything);
    Open();
  }
  int64_t Syncs() const {
    const RocksStore::Stats stats = store_->GetStats();
    // Writes and syncs.
    return static_cast<int64_t>(stats.write_time.counts.back()) - stats.writes;
  }

  testing::TempDir dir_;
  testing::TempDir attic_;
  LazyClock clock_;
  SeededEntropy entropy_{1};
  std::shared_ptr<UnsyncedFs> disk_ =
      std::make_shared<UnsyncedFs>(attic_.path(), 1);
  std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(disk_);
  RocksOptions options_;
  std::unique_ptr<RocksStore> store_;
  std::unique_ptr<Watcher> watcher_;

  std::thread thread_;
  std::unique_ptr<absl::Notification> done_;
  absl::StatusOr<uint64_t> followed_ = absl::UnknownError("not yet");
  uint64_t seen_ = 0;
};

TEST_F(StoreFollowedTest, WhenItIsFollowed_OneSyncIsEnoughForBoth) {
  const absl::Duration begin = clock_.Steady();
  const int64_t before = Syncs();
  const int64_t writes = store_->GetStats().writes;
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_OK_AND_ASSIGN(const uint64_t follower, Follow());
  ASSERT_TRUE(done_->WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_EQ(clock_.Steady(), begin);  // nor had it given up
  ASSERT_OK(followed_);
  EXPECT_EQ(*followed_, seen_);
  EXPECT_GT(follower, seen_);
  EXPECT_EQ(store_->GetStats().writes - writes, 2);
  EXPECT_EQ(Syncs() - before, 1);
  EXPECT_OK(store_->AwaitDurable(follower));
  EXPECT_EQ(Syncs() - before, 1);
  thread_.join();
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
  EXPECT_EQ(store_->Get(kB)->value, "planned");
}

TEST_F(StoreFollowedTest, WhenNobodyFollows_ItIsDurableAllTheSame) {
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  const absl::Duration begin = clock_.Steady();
  Join();
  EXPECT_GT(clock_.Steady(), begin);  // it waited for somebody
  ASSERT_OK(followed_);
  EXPECT_EQ(Syncs() - before, 1);
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
  ASSERT_OK(Follow());
}

TEST_F(StoreFollowedTest, WhenOthersAwaitItMeanwhile_ItIsOnTheDiskForThem) {
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_OK(store_->AwaitDurable(seen_));
  EXPECT_EQ(Syncs() - before, 1);
  // It need not wait any longer, nor ask the disk again.
  ASSERT_TRUE(done_->WaitForNotificationWithTimeout(absl::Seconds(20)));
  ASSERT_OK(followed_);
  EXPECT_EQ(Syncs() - before, 1);
  thread_.join();
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
}

TEST_F(StoreFollowedTest, WhenAnotherCommitHadItSynced_ItIsWoken) {
  clock_.SetLazy();
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_OK(store_->Commit(Batch().Put(kB, "durable")));
  EXPECT_TRUE(done_->WaitForNotificationWithTimeout(absl::Seconds(5)));
  EXPECT_EQ(Syncs() - before, 0);
  thread_.join();
  ASSERT_OK(followed_);
}

TEST_F(StoreFollowedTest, WhenItIsFollowed_ItIsWoken) {
  clock_.SetLazy();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_OK(Follow());
  EXPECT_TRUE(done_->WaitForNotificationWithTimeout(absl::Seconds(5)));
  thread_.join();
  ASSERT_OK(followed_);
}

TEST_F(StoreFollowedTest, WhenItWasSyncedWithOthers_ItWaitsForNobody) {
  Open();  // promises numbers again with its first commit
  watcher_ = *store_->Watch(store_->CurrentRevision(), {});
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_TRUE(done_->WaitForNotificationWithTimeout(absl::Seconds(20)));
  ASSERT_OK(followed_);
  EXPECT_EQ(Syncs(), 0);
}

TEST_F(StoreFollowedTest, WhenASyncEndsAsTheFollowerIsWritten_ItGetsItsOwn) {
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  std::atomic<bool> done{false};
  disk_->OnLog([&](UnsyncedFs::Moment moment) {
    if (moment != UnsyncedFs::Moment::kBeforeAppend) return;
    if (done.exchange(true)) return;
    std::thread([&] { EXPECT_OK(store_->AwaitDurable(seen_)); }).join();
  });
  ASSERT_OK(Follow());
  EXPECT_EQ(Syncs() - before, 2);
  disk_->OnLog(nullptr);
  Join();
  ASSERT_OK(followed_);
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
  EXPECT_EQ(store_->Get(kB)->value, "planned");
}

TEST_F(StoreFollowedTest, WhenTheFollowerComesAsASyncEnds_ItGetsItsOwn) {
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  std::thread follower;
  absl::StatusOr<uint64_t> planned = absl::UnknownError("not yet");
  disk_->OnLog([&](UnsyncedFs::Moment moment) {
    if (moment != UnsyncedFs::Moment::kAfterSync) return;
    if (follower.joinable()) return;
    follower = std::thread([&] { planned = Follow(); });
    EXPECT_OK(watcher_->Next(absl::InfiniteDuration()));  // it is seen
  });
  ASSERT_OK(store_->AwaitDurable(seen_));
  follower.join();
  disk_->OnLog(nullptr);
  ASSERT_OK(planned);
  EXPECT_EQ(Syncs() - before, 2);
  Join();
  ASSERT_OK(followed_);
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
  EXPECT_EQ(store_->Get(kB)->value, "planned");
}

TEST_F(StoreFollowedTest,
       WhenThePowerFailsWhileItWaits_NobodyWasToldOtherwise) {
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  disk_->Crash();
  EXPECT_THAT(Follow(), Not(IsOk()));
  Join();
  EXPECT_THAT(followed_, Not(IsOk()));
  CutPower();
  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Get(kB), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StoreFollowedTest, WhenTheirSyncFails_NeitherIsAcknowledged) {
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  disk_->SetSyncFails(true);
  EXPECT_THAT(Follow(), StatusIs(absl::StatusCode::kUnavailable));
  Join();
  EXPECT_THAT(followed_, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(store_->AwaitDurable(seen_),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(store_->AwaitDurable(seen_ + 1),
              StatusIs(absl::StatusCode::kUnavailable));
  disk_->SetSyncFails(false);

  ASSERT_OK_AND_ASSIGN(const uint64_t later,
                       store_->Commit(Batch().Put(kC, "1").SeenEarly()));
  EXPECT_GT(later, seen_ + 1);
  EXPECT_GE(store_->GetStats().reopened, 1);
  // Whether they are there is what is said of them from now on, and stays so.
  const bool a = store_->Get(kA).ok(), b = store_->Get(kB).ok();
  EXPECT_EQ(store_->AwaitDurable(seen_).ok(), a);
  EXPECT_EQ(store_->AwaitDurable(seen_ + 1).ok(), b);
  EXPECT_OK(store_->AwaitDurable(later));
  CutPower();
  EXPECT_EQ(store_->Get(kA).ok(), a);
  EXPECT_EQ(store_->Get(kB).ok(), b);
  EXPECT_EQ(store_->Get(kC)->value, "1");
}

TEST_F(StoreFollowedTest, WhenTheDiskLosesBoth_TheyAreLostForGood) {
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  disk_->SetSyncFails(true);
  EXPECT_THAT(Follow(), Not(IsOk()));
  Join();
  EXPECT_THAT(followed_, Not(IsOk()));
  disk_->DropUnsynced();
  disk_->SetSyncFails(false);

  ASSERT_OK_AND_ASSIGN(const uint64_t later, Follow());
  EXPECT_GT(later, seen_ + 1);
  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kNotFound));
  for (const uint64_t lost : {seen_, seen_ + 1}) {
    EXPECT_THAT(store_->AwaitDurable(lost),
                StatusIs(absl::StatusCode::kUnavailable,
                         ::testing::HasSubstr("did not keep it")));
  }
  EXPECT_OK(store_->AwaitDurable(later));
  // Nor is the next one that is followed taken for older than it is.
  auto watcher = store_->Watch(later, {});
  ASSERT_OK(watcher);
  watcher_ = *std::move(watcher);
  const int64_t before = Syncs();
  ASSERT_NO_FATAL_FAILURE(CommitFollowed());
  ASSERT_OK(Follow());
  Join();
  ASSERT_OK(followed_);
  EXPECT_EQ(Syncs() - before, 1);
  CutPower();
  EXPECT_EQ(store_->Get(kA)->value, "declared");
}

}  // namespace
}  // namespace bulwark::store
