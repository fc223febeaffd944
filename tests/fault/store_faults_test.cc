// What the durable store does when the disk is full, fails, or was damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "store/rocks/rocks_store.h"
#include "store/rocks/unsynced_fs.h"
#include "tests/fault/store_files.h"

namespace bulwark::store {
namespace {

namespace fs = std::filesystem;
using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const Key kA{"service", "shop", "a"};
const Key kB{"service", "shop", "b"};
const Key kC{"service", "shop", "c"};

class StoreFaultsTest : public ::testing::Test {
 protected:
  StoreFaultsTest() {
    options_.path = dir_ / "store";
    options_.reserve_bytes = 0;
    options_.min_free_bytes = 0;
    options_.checkpoint_every = absl::InfiniteDuration();
  }

  absl::Status Open() {
    store_ = nullptr;
    auto store = RocksStore::Open(options_, clock_, entropy_);
    if (store.ok()) store_ = *std::move(store);
    return store.status();
  }
  // Uses a file system with faults.
  void UseFaultyDisk() {
    disk_ = std::make_shared<UnsyncedFs>(attic_.path(), 1);
    env_ = rocksdb::NewCompositeEnv(disk_);
    options_.env = env_.get();
  }
  absl::StatusOr<uint64_t> Put(const Key& key, const std::string& value) {
    return store_->Commit(Batch().Put(key, value));
  }

  testing::TempDir dir_;
  testing::TempDir attic_;
  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  std::shared_ptr<UnsyncedFs> disk_;
  std::unique_ptr<rocksdb::Env> env_;
  RocksOptions options_;
  std::unique_ptr<RocksStore> store_;
};

TEST_F(StoreFaultsTest, WhenDiskIsFull_RefusesThenRecovers) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  const uint64_t before = Put(kA, "1").value();
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(before, {}));

  disk_->SetFull(true);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Put(kB, std::string(5000, 'x')), Not(IsOk()));
  }
  disk_->SetFull(false);
  ASSERT_OK_AND_ASSIGN(const uint64_t after, Put(kB, "2"));

  EXPECT_GT(after, before);
  EXPECT_GE(store_->GetStats().reopened, 1);
  EXPECT_GE(store_->GetStats().failures, 1);
  EXPECT_EQ(store_->Get(kA)->value, "1");
  EXPECT_EQ(store_->Get(kB)->value, "2");
  ASSERT_OK_AND_ASSIGN(auto changes, watcher->Next(absl::ZeroDuration()));
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].value, "2");
  watcher = nullptr;
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
}

TEST_F(StoreFaultsTest, WhenItCouldNotBeOpenedAgain_AReadDoesItLater) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  disk_->SetFull(true);
  EXPECT_THAT(Put(kB, std::string(5000, 'x')), Not(IsOk()));
  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kUnavailable));
  disk_->SetFull(false);
  // It was tried just now.
  EXPECT_THAT(store_->Get(kA), StatusIs(absl::StatusCode::kUnavailable));
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK_AND_ASSIGN(const Listing listing, store_->List({}));
  EXPECT_THAT(listing.records, SizeIs(1));
  EXPECT_EQ(store_->Get(kA)->value, "1");
}

TEST_F(StoreFaultsTest, WhenDiskIsFullForOneWrite_CodeSaysSo) {
  UseFaultyDisk();
  options_.reserve_bytes = 1 << 20;
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  ASSERT_TRUE(fs::exists(options_.path + "/reserve"));
  disk_->SetFull(true);
  // The reserve goes, but this disk stays full.
  EXPECT_THAT(Put(kB, "2"), Not(IsOk()));
  EXPECT_FALSE(fs::exists(options_.path + "/reserve"));
  disk_->SetFull(false);
  ASSERT_OK(Put(kB, "2"));
  clock_.Advance(absl::Minutes(2));
  ASSERT_OK(Put(kB, "3"));
  EXPECT_TRUE(fs::exists(options_.path + "/reserve"));  // it came back
}

TEST_F(StoreFaultsTest, WhenSpaceIsScarce_NewRecordsAreRefusedFirst) {
  int64_t free = 1000;
  options_.free_bytes = [&free] { return free; };
  options_.min_free_bytes = 400;
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  free = 399;
  EXPECT_THAT(Put(kB, "1"), StatusIs(absl::StatusCode::kResourceExhausted,
                                     HasSubstr("free some space")));
  EXPECT_OK(Put(kA, "2"));
  free = 99;
  EXPECT_THAT(Put(kA, "3"), StatusIs(absl::StatusCode::kResourceExhausted));
  // What keeps things running goes on, also with new records.
  EXPECT_OK(store_->Commit(Batch().Put(kA, "4").Put(kC, "1").Essential()));
  free = 24;
  EXPECT_THAT(store_->Commit(Batch().Put(kA, "5").Essential()),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_OK(store_->Commit(Batch().Delete(kA)));
  free = 400;
  EXPECT_OK(Put(kB, "1"));
}

TEST_F(StoreFaultsTest, WhenSyncFails_OutcomeIsSettledByReopening) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  const uint64_t before = store_->CurrentRevision();
  ASSERT_OK_AND_ASSIGN(auto watcher, store_->Watch(before, {}));

  disk_->SetSyncFails(true);
  const absl::StatusOr<uint64_t> r = Put(kA, "2");
  disk_->SetSyncFails(false);
  ASSERT_OK(Put(kB, "3"));

  // Either way the answer, the value and what watchers saw agree in the end.
  ASSERT_OK_AND_ASSIGN(const Record a, store_->Get(kA));
  ASSERT_OK_AND_ASSIGN(auto changes, watcher->Next(absl::ZeroDuration()));
  EXPECT_THAT(r, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(changes, SizeIs(a.value == "2" ? 2 : 1));
}

TEST_F(StoreFaultsTest, WhenSyncFailsAfterItWasSeen_NobodyIsToldThatItLasts) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  ASSERT_OK_AND_ASSIGN(auto watcher,
                       store_->Watch(store_->CurrentRevision(), {}));

  disk_->SetSyncFails(true);
  const absl::StatusOr<uint64_t> r =
      store_->Commit(Batch().Put(kA, "2").SeenEarly());
  EXPECT_THAT(r, StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_OK_AND_ASSIGN(const auto changes, watcher->Next(absl::ZeroDuration()));
  ASSERT_THAT(changes, SizeIs(1));  // it was seen
  EXPECT_THAT(store_->AwaitDurable(changes[0].revision),
              StatusIs(absl::StatusCode::kUnavailable));
  disk_->SetSyncFails(false);
  ASSERT_OK(Put(kB, "3"));

  // Reopening settles it: either way all agree.
  ASSERT_OK_AND_ASSIGN(const Record a, store_->Get(kA));
  const absl::Status lasts = store_->AwaitDurable(changes[0].revision);
  if (a.value == "2") {
    EXPECT_OK(lasts);
  } else {
    EXPECT_THAT(lasts, StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr("did not keep it")));
  }
}

TEST_F(StoreFaultsTest, WhenTheDiskLosesWhatWasSeen_ItIsLostForGood) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  disk_->SetSyncFails(true);
  EXPECT_FALSE(store_->Commit(Batch().Put(kA, "2").SeenEarly()).ok());
  const uint64_t seen = store_->CurrentRevision();
  disk_->DropUnsynced();
  disk_->SetSyncFails(false);
  ASSERT_OK(Put(kB, "3"));
  EXPECT_EQ(store_->Get(kA)->value, "1");
  EXPECT_THAT(store_->AwaitDurable(seen),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_OK(store_->AwaitDurable(store_->CurrentRevision()));
}

TEST_F(StoreFaultsTest, WhenPowerFailsWithDurableCommits_ReopenContinues) {
  UseFaultyDisk();
  ASSERT_OK(Open());
  const std::string instance = store_->InstanceId();
  ASSERT_OK(Put(kA, "1"));
  disk_->Crash();
  EXPECT_THAT(Put(kA, "2"), StatusIs(absl::StatusCode::kUnavailable));
  store_ = nullptr;
  disk_->Restart(UnsyncedFs::Loss::kEverything);
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kA)->value, "1");
  EXPECT_EQ(store_->InstanceId(), instance);
}

TEST_F(StoreFaultsTest, WhenSecondProcessOpens_SaysWhoHasIt) {
  ASSERT_OK(Open());
  EXPECT_THAT(RocksStore::Open(options_, clock_, entropy_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(absl::StrCat("pid ", getpid())),
                             HasSubstr("second daemon"))));
  ASSERT_OK(Put(kA, "1"));
}

TEST_F(StoreFaultsTest, WhenSchemaIsNewer_RefusesAndSaysWhatToDo) {
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  store_ = nullptr;
  {
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, options_.path + "/db", &db).ok());
    db->Put({}, "m/schema", std::string("\0\0\0\0\0\0\0\x02", 8))
        .PermitUncheckedError();
    delete db;
  }
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("start the newer version")));
}

TEST_F(StoreFaultsTest, WhenOpen_TheLogHasRoomForWhatFollows) {
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  const std::vector<std::string> logs = FilesOf(options_.path, ".log");
  ASSERT_THAT(logs, SizeIs(1));
  const uintmax_t size = fs::file_size(logs[0]);
  EXPECT_GE(size, options_.log_room_bytes);
  for (int i = 0; i < 20; ++i) ASSERT_OK(Put(kA, std::string(500, 'a')));
  EXPECT_EQ(fs::file_size(logs[0]), size);
}

TEST_F(StoreFaultsTest, WhenAcknowledgedCommitIsDamaged_RefusesUntouched) {
  ASSERT_OK(Open());
  for (int i = 0; i < 20; ++i) ASSERT_OK(Put(kA, std::string(500, 'a')));
  // As the log is while the store is open: a crash would leave this.
  const std::string copy = dir_ / "copy";
  fs::copy(options_.path, copy, fs::copy_options::recursive);
  store_ = nullptr;
  options_.path = copy;
  std::string log;
  for (const std::string& f : FilesOf(options_.path, ".log")) {
    if (fs::file_size(f) > 5000) log = f;
  }
  ASSERT_FALSE(log.empty());
  FlipByte(log, 3000);
  const std::string before = ContentsOf(options_.path);

  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(copy), HasSubstr("acknowledged commits"),
                             HasSubstr("nothing was changed"))));

  EXPECT_EQ(ContentsOf(options_.path), before);
  FlipByte(log, 3000);  // and back
  EXPECT_OK(Open());
}

TEST_F(StoreFaultsTest, WhenTableIsDamaged_RefusesAndNamesTheCheckpoint) {
  options_.checkpoint_every = absl::Minutes(1);
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, std::string(9000, 'a')));
  clock_.Advance(absl::Minutes(2));
  ASSERT_OK(Put(kB, "2"));  // makes a checkpoint, and flushes
  store_ = nullptr;
  // The checkpoint shares no block with it.
  for (const std::string& table : FilesOf(options_.path, ".sst"))
    FlipByte(table, 40);
  const std::string before = ContentsOf(options_.path);
  const absl::Status damaged = Open();
  ASSERT_THAT(damaged, StatusIs(absl::StatusCode::kDataLoss,
                                AllOf(HasSubstr("nothing was changed"),
                                      HasSubstr("to go back to 2030-01-01"),
                                      HasSubstr("cp -a"))));
  EXPECT_EQ(ContentsOf(options_.path), before);

  // The remedy in the message works.
  const std::string text(damaged.message());
  const std::string command = text.substr(text.find(": mv") + 2);
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
  ASSERT_OK(Put(kB, "3"));
}

TEST_F(StoreFaultsTest, WhenTheFileSystemHasNoLinks_OpensAllTheSame) {
  struct NoLinks : rocksdb::FileSystemWrapper {
    using FileSystemWrapper::FileSystemWrapper;
    const char* Name() const override { return "NoLinks"; }
    rocksdb::IOStatus LinkFile(const std::string&, const std::string&,
                               const rocksdb::IOOptions&,
                               rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::IOError("Operation not permitted");
    }
  };
  env_ = rocksdb::NewCompositeEnv(
      std::make_shared<NoLinks>(rocksdb::FileSystem::Default()));
  options_.env = env_.get();
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, std::string(9000, 'a')));
  ASSERT_OK(Open());  // flushes to a table
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kA)->value, std::string(9000, 'a'));
}

TEST_F(StoreFaultsTest, WhenDatabaseVanished_NeverBeginsAnew) {
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, "1"));
  store_ = nullptr;
  fs::remove(options_.path + "/db/CURRENT");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                               HasSubstr("the database is missing")));
  fs::remove_all(options_.path + "/db");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(StoreFaultsTest, WhenFilesAreMissing_IsDamageNotSomethingToRetry) {
  ASSERT_OK(Open());
  ASSERT_OK(Put(kA, std::string(9000, 'a')));
  ASSERT_OK(Open());  // flushes to a table
  store_ = nullptr;
  for (const std::string& table : FilesOf(options_.path, ".sst"))
    fs::remove(table);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(StoreFaultsTest, WhenForeignDatabase_Refuses) {
  fs::create_directories(options_.path + "/db");
  rocksdb::DB* db = nullptr;
  rocksdb::Options o;
  o.create_if_missing = true;
  ASSERT_TRUE(rocksdb::DB::Open(o, options_.path + "/db", &db).ok());
  db->Put({}, "key", "of something else").PermitUncheckedError();
  delete db;
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                               HasSubstr("schema version is missing")));
}

TEST_F(StoreFaultsTest, WhenCheckpointsPileUp_OnlyTheNewestStay) {
  options_.checkpoint_every = absl::Minutes(10);
  options_.checkpoints_kept = 2;
  ASSERT_OK(Open());
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(Put(kA, absl::StrCat(i)));
    clock_.Advance(absl::Minutes(11));
  }
  const std::string directory = options_.path + "/checkpoints";
  std::vector<std::string> copies;
  for (const auto& e : fs::directory_iterator(directory)) {
    copies.push_back(e.path());
  }
  ASSERT_THAT(copies, SizeIs(2));
  store_ = nullptr;
  // A checkpoint is a whole database.
  const std::string newest = std::max(copies[0], copies[1]);
  fs::remove_all(options_.path + "/db");
  fs::copy(newest, options_.path + "/db", fs::copy_options::recursive);
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kA)->value, "4");
}

TEST_F(StoreFaultsTest, WhenMade_DirectoryIsPrivate) {
  ASSERT_OK(Open());
  struct stat st;
  ASSERT_EQ(stat(options_.path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700);
}

}  // namespace
}  // namespace bulwark::store
