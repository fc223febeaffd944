// Commits that are seen before they are known to last.
#include <gmock/gmock.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"
#include "tests/contract/store_contract.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::SizeIs;

const Key kA{"service", "shop", "a"};
const Key kB{"service", "shop", "b"};

TEST_P(StoreContract, WhenSeenEarly_IsACommitAsOthers) {
  ASSERT_OK_AND_ASSIGN(auto watcher,
                       store_->Watch(store_->CurrentRevision(), {}));
  ASSERT_OK_AND_ASSIGN(const uint64_t revision,
                       store_->Commit(Batch().Put(kA, "1").SeenEarly()));
  EXPECT_THAT(Drain(*watcher), SizeIs(1));
  EXPECT_OK(store_->AwaitDurable(revision));
  EXPECT_THAT(store_->Commit(Batch().Put(kA, "2", 0).SeenEarly()),
              StatusIs(absl::StatusCode::kAborted));
  Put(kB, "1");
  EXPECT_OK(store_->AwaitDurable(store_->CurrentRevision()));
  EXPECT_OK(store_->AwaitDurable(0));
  watcher = nullptr;
  if (!GetParam().persistent) return;
  Open();
  EXPECT_EQ(store_->Get(kA)->value, "1");
  EXPECT_OK(store_->AwaitDurable(revision));
}

TEST_P(StoreContract, WhenFollowed_BothAreCommitsAsOthers) {
  ASSERT_OK_AND_ASSIGN(auto watcher,
                       store_->Watch(store_->CurrentRevision(), {}));
  absl::StatusOr<uint64_t> declared = absl::UnknownError("not yet");
  std::thread declare([&] {
    declared = store_->Commit(Batch().Put(kA, "1").SeenEarlyAndFollowed());
  });
  ASSERT_OK_AND_ASSIGN(const auto seen,
                       watcher->Next(absl::InfiniteDuration()));
  EXPECT_THAT(seen, SizeIs(1));
  // Made from the first, while that still waits.
  ASSERT_OK_AND_ASSIGN(
      const uint64_t planned,
      store_->Commit(
          Batch().Put(kB, "1", 0).Require(kA, seen[0].revision).SeenEarly()));
  declare.join();
  ASSERT_OK(declared);
  EXPECT_EQ(*declared, seen[0].revision);
  EXPECT_LT(*declared, planned);
  EXPECT_OK(store_->AwaitDurable(planned));
  // Nothing is to follow what fails, or what is not durable.
  EXPECT_THAT(store_->Commit(Batch().Put(kA, "2", 0).SeenEarlyAndFollowed()),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_OK(
      store_->Commit(Batch().Put(kA, "2").SeenEarlyAndFollowed().NotDurable()));
  watcher = nullptr;
  if (!GetParam().persistent) return;
  Open();
  EXPECT_EQ(store_->Get(kA)->value, "2");
  EXPECT_EQ(store_->Get(kB)->value, "1");
}

TEST_P(StoreContract, WhenFollowedByNobody_ItEndsWithTime) {
  Put(kA, "1");
  absl::Notification over;
  absl::StatusOr<uint64_t> declared = absl::UnknownError("not yet");
  std::thread declare([&] {
    declared = store_->Commit(Batch().Put(kA, "2").SeenEarlyAndFollowed());
    over.Notify();
  });
  while (!over.WaitForNotificationWithTimeout(absl::Milliseconds(5))) {
    clock_.Advance(absl::Milliseconds(1));
  }
  declare.join();
  ASSERT_OK(declared);
  EXPECT_OK(store_->AwaitDurable(*declared));
  EXPECT_EQ(store_->Get(kA)->value, "2");
}

}  // namespace
}  // namespace bulwark::store
