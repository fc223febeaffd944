#include "tests/contract/store_contract.h"

#include <gmock/gmock.h>

#include <set>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"

namespace bulwark::store {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

uint64_t StoreContract::Put(const Key& key, const std::string& value,
                            Expected expected) {
  absl::StatusOr<uint64_t> r =
      store_->Commit(Batch().Put(key, value, expected));
  EXPECT_OK(r);
  return r.value_or(0);
}

std::vector<Change> StoreContract::Drain(Watcher& watcher) {
  std::vector<Change> all;
  while (true) {
    absl::StatusOr<std::vector<Change>> some =
        watcher.Next(absl::ZeroDuration());
    EXPECT_OK(some);
    if (!some.ok() || some->empty()) return all;
    all.insert(all.end(), some->begin(), some->end());
  }
}

namespace {

const Key kA{"service", "shop", "a"};
const Key kB{"service", "shop", "b"};

TEST_P(StoreContract, WhenNew_IsEmptyWithRevisionZero) {
  EXPECT_EQ(store_->CurrentRevision(), 0);
  EXPECT_FALSE(store_->InstanceId().empty());
  ASSERT_OK_AND_ASSIGN(const Listing listing, store_->List({}));
  EXPECT_THAT(listing.records, IsEmpty());
  EXPECT_EQ(listing.revision, 0);
}

TEST_P(StoreContract, WhenPut_GetReturnsValueAndRevision) {
  const std::string bytes("a\0\xff/\n", 5);
  const uint64_t r = Put(kA, bytes);

  ASSERT_OK_AND_ASSIGN(const Record record, store_->Get(kA));

  EXPECT_EQ(record.value, bytes);
  EXPECT_EQ(record.revision, r);
  EXPECT_EQ(store_->CurrentRevision(), r);
}

TEST_P(StoreContract, WhenMissing_GetSaysWhichKey) {
  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kNotFound,
                                        HasSubstr("service/shop/a")));
}

TEST_P(StoreContract, WhenCommitted_RevisionsGrow) {
  const uint64_t r1 = Put(kA, "1");
  const uint64_t r2 = Put(kA, "2");
  ASSERT_OK_AND_ASSIGN(const uint64_t r3, store_->Commit(Batch().Delete(kA)));
  EXPECT_LT(0, r1);
  EXPECT_LT(r1, r2);
  EXPECT_LT(r2, r3);
}

TEST_P(StoreContract, WhenNothingChanges_RevisionStays) {
  const uint64_t r = Put(kA, "1");
  EXPECT_THAT(store_->Commit(Batch()), testing::IsOkAndHolds(r));
  EXPECT_THAT(store_->Commit(Batch().Delete(kB)), testing::IsOkAndHolds(r));
  EXPECT_THAT(store_->Commit(Batch().Require(kA, r)), testing::IsOkAndHolds(r));
  EXPECT_EQ(store_->CurrentRevision(), r);
}

TEST_P(StoreContract, WhenExpectedRevisionDoesNotHold_AbortsAndNamesTheKey) {
  const uint64_t r = Put(kA, "1");
  const struct {
    Batch batch;
    const char* key;
  } kCases[] = {
      {Batch().Put(kA, "2", 0), "service/shop/a"},
      {Batch().Put(kA, "2", r + 7), "service/shop/a"},
      {Batch().Put(kB, "2", r), "service/shop/b"},
      {Batch().Delete(kA, r + 7), "service/shop/a"},
      {Batch().Delete(kB, r), "service/shop/b"},
      {Batch().Put(kB, "2").Require(kA, r + 7), "service/shop/a"},
      {Batch().NotDurable().Put(kA, "2", 0), "service/shop/a"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(store_->Commit(c.batch),
                StatusIs(absl::StatusCode::kAborted, HasSubstr(c.key)));
  }
  EXPECT_EQ(store_->CurrentRevision(), r);
  EXPECT_THAT(store_->Get(kB), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(StoreContract, WhenExpectedRevisionHolds_Commits) {
  const uint64_t r1 = Put(kA, "1", 0);
  const uint64_t r2 = Put(kA, "2", r1);
  ASSERT_OK(store_->Commit(Batch().Put(kB, "1", 0).Require(kA, r2)));
  ASSERT_OK(store_->Commit(Batch().Delete(kA, r2)));
  Put(kA, "3", 0);  // a deleted key does not exist
}

TEST_P(StoreContract, WhenOneKeyOfABatchFails_NothingIsWritten) {
  Put(kB, "1");
  ASSERT_OK_AND_ASSIGN(auto watcher,
                       store_->Watch(store_->CurrentRevision(), {}));

  EXPECT_THAT(store_->Commit(Batch().Put(kA, "2").Put(kB, "2", 0)),
              StatusIs(absl::StatusCode::kAborted));

  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Drain(*watcher), IsEmpty());
}

TEST_P(StoreContract, WhenMalformed_IsInvalidArgument) {
  for (const Batch& batch :
       {Batch().Put({"Bad", "", "x"}, "1"), Batch().Put(kA, "1").Delete(kA),
        Batch().Put(kA, std::string(kMaxValue + 1, 'x'))}) {
    EXPECT_THAT(store_->Commit(batch),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(store_->CurrentRevision(), 0);
}

TEST_P(StoreContract, WhenListed_FilterAndOrderHold) {
  for (const Key& key : {Key{"service", "p-q", "z"}, Key{"service", "p", "z"},
                         Key{"service", "p", "y/1"}, Key{"service", "", "g"},
                         Key{"services", "p", "no"}, Key{"node", "", "n"}}) {
    Put(key, key.name);
  }
  const auto names = [this](const Filter& filter) {
    absl::StatusOr<Listing> listing = store_->List(filter);
    EXPECT_OK(listing);
    std::vector<std::string> out;
    for (const Record& r : listing->records) out.push_back(r.key.ToString());
    return out;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(names({.kind = "service"}),
              ElementsAre("service//g", "service/p-q/z", "service/p/y/1",
                          "service/p/z"));
  EXPECT_THAT(names({.kind = "service", .project = "p"}),
              ElementsAre("service/p/y/1", "service/p/z"));
  EXPECT_THAT(names({.kind = "service", .project = ""}),
              ElementsAre("service//g"));
  EXPECT_THAT(names({.kind = "service", .project = "p", .name_prefix = "y"}),
              ElementsAre("service/p/y/1"));
  EXPECT_THAT(names({.kind = "service", .name_prefix = "z"}),
              ElementsAre("service/p-q/z", "service/p/z"));
  EXPECT_THAT(names({.project = "p"}),
              ElementsAre("service/p/y/1", "service/p/z", "services/p/no"));
  EXPECT_THAT(names({}), SizeIs(6));
}

TEST_P(StoreContract, WhenTenThousandRecords_ListIsFast) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 100; ++i) {
    Batch batch;
    for (int j = 0; j < 100; ++j) {
      batch.Put({"replica", "p", absl::StrCat(i, "-", j)}, value);
    }
    ASSERT_OK(store_->Commit(batch));
  }
  RealClock real;
  const absl::Duration start = real.Steady();

  ASSERT_OK_AND_ASSIGN(const Listing listing, store_->List({"replica", "p"}));

  EXPECT_THAT(listing.records, SizeIs(10000));
  EXPECT_LT(real.Steady() - start, absl::Seconds(5));  // a loaded machine
}

TEST_P(StoreContract, WhenWatching_ChangesComeInOrderAndWhole) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  const uint64_t r1 = Put(kA, "1");
  ASSERT_OK_AND_ASSIGN(
      const uint64_t r2,
      store_->Commit(Batch().NotDurable().Put(kA, "2").Put(kB, "1")));
  ASSERT_OK_AND_ASSIGN(const uint64_t r3, store_->Commit(Batch().Delete(kA)));

  const std::vector<Change> changes = Drain(*watcher);

  ASSERT_THAT(changes, SizeIs(4));
  EXPECT_EQ(changes[0].revision, r1);
  EXPECT_TRUE(changes[0].created);
  EXPECT_EQ(changes[1].revision, r2);
  EXPECT_EQ(changes[1].value, "2");
  EXPECT_FALSE(changes[1].created);
  EXPECT_EQ(changes[2].revision, r2);
  EXPECT_EQ(changes[2].key, kB);
  EXPECT_EQ(changes[3].revision, r3);
  EXPECT_EQ(changes[3].op, Change::Op::kDelete);
  EXPECT_EQ(changes[3].previous, "2");
  EXPECT_EQ(watcher->Revision(), r3);
}

TEST_P(StoreContract, WhenOneCommitIsLarge_NextDoesNotSplitIt) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  Batch batch;
  for (int i = 0; i < 2000; ++i) {
    batch.Put({"k", "", absl::StrCat(i)}, "v");
  }
  ASSERT_OK(store_->Commit(batch));
  EXPECT_THAT(watcher->Next(absl::ZeroDuration()),
              testing::IsOkAndHolds(SizeIs(2000)));
}

TEST_P(StoreContract, WhenFiltered_RevisionGrowsWithWhatIsDropped) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {.kind = "job"}));
  const uint64_t r = Put(kA, "1");
  EXPECT_THAT(Drain(*watcher), IsEmpty());
  EXPECT_EQ(watcher->Revision(), r);
  Put({"job", "", "j"}, "1");
  EXPECT_THAT(Drain(*watcher), SizeIs(1));
}

TEST_P(StoreContract, WhenResumed_NothingIsLostOrRepeated) {
  const uint64_t r1 = Put(kA, "1");
  const uint64_t r2 = Put(kA, "2");
  Put(kA, "3");
  for (const auto& [after, count] :
       std::vector<std::pair<uint64_t, size_t>>{{0, 3}, {r1, 2}, {r2, 1}}) {
    ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(after, {}));
    EXPECT_THAT(Drain(*watcher), SizeIs(count));
  }
}

TEST_P(StoreContract, WhenRevisionIsOfAnotherHistory_IsOutOfRange) {
  const uint64_t r = Put(kA, "1");
  EXPECT_THAT(store_->Watch(r + 1, {}),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(StoreContract, WhenLogIsTrimmed_OldWatchesMustListAgain) {
  const uint64_t old = Put(kA, "old");
  ASSERT_OK_AND_ASSIGN(auto slow, store_->Watch(old, {}));
  Put(kA, "older than an hour");
  clock_.Advance(absl::Minutes(61));
  uint64_t recent = 0;
  for (int i = 0; i < 11; ++i) {
    recent = Put(kB, "new");
    clock_.Advance(absl::Minutes(1));
  }
  Put(kB, "last");

  EXPECT_THAT(store_->Watch(old, {}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("list again")));
  EXPECT_THAT(store_->Watch(0, {}), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(slow->Next(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kOutOfRange));
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(recent, {}));
  EXPECT_THAT(Drain(*watcher), SizeIs(1));
  EXPECT_THAT(store_->Get(kA), testing::IsOk());  // only the log is trimmed
}

TEST_P(StoreContract, WhenFewCommitsAreOld_TheyStay) {
  for (int i = 0; i < 5; ++i) Put(kA, "1");
  clock_.Advance(absl::Hours(5));
  Put(kA, "2");
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  EXPECT_THAT(Drain(*watcher), SizeIs(6));
}

TEST_P(StoreContract, WhenNothingComes_NextTimesOutEmpty) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  std::thread advance([this] { clock_.Advance(absl::Seconds(10)); });
  EXPECT_THAT(watcher->Next(absl::Seconds(10)),
              testing::IsOkAndHolds(IsEmpty()));
  advance.join();
}

TEST_P(StoreContract, WhenCommitHappens_BlockedNextWakes) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  std::thread commit([this] { Put(kA, "1"); });
  EXPECT_THAT(watcher->Next(absl::InfiniteDuration()),
              testing::IsOkAndHolds(SizeIs(1)));
  commit.join();
}

TEST_P(StoreContract, WhenCancelled_NextReturnsForEver) {
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(0, {}));
  std::thread cancel([&] { watcher->Cancel(); });
  EXPECT_THAT(watcher->Next(absl::InfiniteDuration()),
              StatusIs(absl::StatusCode::kCancelled));
  cancel.join();
  Put(kA, "1");
  EXPECT_THAT(watcher->Next(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_P(StoreContract, WhenManyWritersIncrement_NoUpdateIsLost) {
  constexpr int kThreads = 8;
  constexpr int kEach = 25;
  Put(kA, "0");
  ASSERT_OK_AND_ASSIGN(auto watcher,
                       store_->Watch(store_->CurrentRevision(), {}));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int done = 0; done < kEach;) {
        const absl::StatusOr<Record> record = store_->Get(kA);
        ASSERT_OK(record);
        const std::string next = absl::StrCat(std::stoi(record->value) + 1);
        const absl::StatusOr<uint64_t> r = store_->Commit(
            Batch().Put(kA, next, record->revision).Put(kB, next));
        if (r.ok()) {
          ++done;
        } else {
          ASSERT_THAT(r, StatusIs(absl::StatusCode::kAborted));
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();

  EXPECT_EQ(store_->Get(kA)->value, absl::StrCat(kThreads * kEach));
  EXPECT_EQ(store_->Get(kB)->value, absl::StrCat(kThreads * kEach));
  const std::vector<Change> changes = Drain(*watcher);
  ASSERT_THAT(changes, SizeIs(2 * kThreads * kEach));
  for (size_t i = 0; i < changes.size(); i += 2) {
    EXPECT_EQ(changes[i].value, absl::StrCat(i / 2 + 1));
    EXPECT_EQ(changes[i].revision, changes[i + 1].revision);
  }
}

TEST_P(StoreContract, WhenListingWhileWriting_WatchContinuesExactly) {
  constexpr int kCommits = 200;
  absl::Notification started;
  std::thread writer([&] {
    for (int i = 0; i < kCommits; ++i) {
      Put({"k", "", absl::StrCat(i)}, "v");
      if (i == 10) started.Notify();
    }
  });
  started.WaitForNotification();
  for (int round = 0; round < 20; ++round) {
    ASSERT_OK_AND_ASSIGN(const Listing listing, store_->List({}));
    ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(listing.revision, {}));
    std::set<std::string> names;
    for (const Record& r : listing.records) {
      EXPECT_LE(r.revision, listing.revision);
      names.insert(r.key.name);
    }
    while (names.size() < kCommits && round == 19) {
      ASSERT_OK_AND_ASSIGN(auto changes,
                           watcher->Next(absl::InfiniteDuration()));
      for (const Change& c : changes) {
        EXPECT_GT(c.revision, listing.revision);
        EXPECT_TRUE(names.insert(c.key.name).second);
      }
    }
  }
  writer.join();
}

TEST_P(StoreContract, WhenReopened_EverythingContinues) {
  if (!GetParam().persistent) GTEST_SKIP() << "keeps nothing";
  const uint64_t r1 = Put(kA, "1");
  Put(kA, "2");
  ASSERT_OK_AND_ASSIGN(
      const uint64_t r3,
      store_->Commit(Batch().NotDurable().Put(kB, "status").Delete(kA)));
  const std::string instance = store_->InstanceId();

  Open();

  EXPECT_EQ(store_->InstanceId(), instance);
  EXPECT_EQ(store_->CurrentRevision(), r3);
  EXPECT_EQ(store_->Get(kB)->value, "status");
  EXPECT_EQ(store_->Get(kB)->revision, r3);
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(r1, {}));
  EXPECT_THAT(Drain(*watcher), SizeIs(3));
  const uint64_t r4 = Put(kA, "3", 0);
  EXPECT_GT(r4, r3);
  const std::vector<Change> changes = Drain(*watcher);
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].revision, r4);
}

TEST_P(StoreContract, WhenReopenedAfterTrim_StillOutOfRange) {
  if (!GetParam().persistent) GTEST_SKIP() << "keeps nothing";
  const uint64_t old = Put(kA, "old");
  Put(kA, "2");
  clock_.Advance(absl::Hours(2));
  for (int i = 0; i < 11; ++i) Put(kB, "new");
  clock_.Advance(absl::Minutes(1));
  Put(kB, "newest");

  Open();

  EXPECT_THAT(store_->Watch(old, {}), StatusIs(absl::StatusCode::kOutOfRange));
}

}  // namespace
}  // namespace bulwark::store
