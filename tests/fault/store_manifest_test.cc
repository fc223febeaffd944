// A manifest whose end is ruined: by a power failure in the midst of a change,
// after which nothing may be lost, or later, which must be found out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/entropy.h"
#include "base/status.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "store/rocks/log_scan.h"
#include "store/rocks/rocks_store.h"
#include "tests/fault/store_files.h"

namespace bulwark::store {
namespace {

namespace fs = std::filesystem;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Key kA{"service", "shop", "a"};
const Key kB{"service", "shop", "b"};
const Key kC{"service", "shop", "c"};

// A flush writes a table, then the manifest, then removes logs.
class StoreManifestTest : public ::testing::Test {
 protected:
  StoreManifestTest() {
    options_.path = dir_ / "store";
    options_.reserve_bytes = 0;
    options_.min_free_bytes = 0;
    options_.checkpoint_every = absl::InfiniteDuration();
  }

  // Flushes, and makes the store what the next start would find. With `late`, a
  // commit that is not durable, which the logs that are kept aside do not have.
  void Flush(bool late = false) {
    ASSERT_OK(Open());
    ASSERT_OK(Put(kA, std::string(9000, 'a')));
    ASSERT_OK(Put(kB, "2"));
    fs::create_directory(logs_);
    for (const std::string& log : FilesOf(options_.path, ".log")) {
      fs::copy(log, logs_);
    }
    if (late) {
      ASSERT_OK(store_->Commit(Batch().Put(kC, "late").NotDurable()));
    }
    ASSERT_OK(store_->Checkpoint(dir_ / "checkpoint"));
    const std::string copy = dir_ / "copy";
    fs::copy(options_.path, copy, fs::copy_options::recursive);
    store_ = nullptr;
    options_.path = copy;
    for (const auto& e : fs::directory_iterator(logs_)) {
      fs::remove(fs::path(copy) / "db" / e.path().filename());
    }
    for (const auto& e : fs::directory_iterator(copy + "/db")) {
      if (absl::StartsWith(e.path().filename().string(), "MANIFEST")) {
        manifest_ = e.path();
      }
    }
  }
  // Where the last but one of the manifest's records begins, which names the
  // table; a short one follows.
  uint64_t LastChange() const {
    std::ifstream in(manifest_, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    std::vector<uint64_t> begins;
    ScanLog(bytes, [&](const ScannedRecord& r) { begins.push_back(r.begin); });
    return begins.size() < 2 ? 0 : begins[begins.size() - 2];
  }
  void RuinManifest() {
    FlipByte(manifest_, static_cast<int64_t>(LastChange()) + 20);
  }
  void ExpectRefused() {
    const std::string before = ContentsOf(options_.path);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                                 AllOf(HasSubstr("MANIFEST-"),
                                       HasSubstr("nothing was changed"))));
    EXPECT_EQ(ContentsOf(options_.path), before);
  }
  void BringLogsBack() {
    for (const auto& e : fs::directory_iterator(logs_)) {
      fs::copy(e.path(), options_.path + "/db",
               fs::copy_options::overwrite_existing);
    }
  }

  absl::Status Open() {
    store_ = nullptr;
    ASSIGN_OR_RETURN(store_, RocksStore::Open(options_, clock_, entropy_));
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Put(const Key& key, const std::string& value) {
    return store_->Commit(Batch().Put(key, value));
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  RocksOptions options_;
  std::unique_ptr<RocksStore> store_;
  const fs::path logs_ = dir_ / "logs";
  std::string manifest_;
};

TEST_F(StoreManifestTest,
       WhenTheLastChangeIsRuinedAndAllIsThere_NothingIsLost) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  RuinManifest();
  BringLogsBack();
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kA)->value, std::string(9000, 'a'));
  EXPECT_EQ(store_->Get(kB)->value, "2");
  ASSERT_OK(Put(kC, "3"));
  // The original is kept.
  int kept = 0;
  for (const auto& e : fs::recursive_directory_iterator(options_.path)) {
    kept += e.path().filename() == fs::path(manifest_).filename();
  }
  EXPECT_EQ(kept, 1);
}

// A table may have what is not durable yet, and was lost with the log's end.
TEST_F(StoreManifestTest, WhenTheTableHasWhatTheLogLost_WhatIsDurableIsThere) {
  ASSERT_NO_FATAL_FAILURE(Flush(/*late=*/true));
  RuinManifest();
  BringLogsBack();
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
  EXPECT_THAT(store_->Get(kC), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StoreManifestTest, WhenTheLastChangeWasTheTruth_RefusesUntouched) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  RuinManifest();
  ExpectRefused();
}

TEST_F(StoreManifestTest, WhenTheTruthIsCutOff_RefusesUntouched) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  fs::resize_file(manifest_, LastChange() + 20);
  ExpectRefused();
}

TEST_F(StoreManifestTest, WhenTheTruthIsZeros_RefusesUntouched) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  const uintmax_t size = fs::file_size(manifest_);
  fs::resize_file(manifest_, LastChange());
  fs::resize_file(manifest_, size);
  ExpectRefused();
}

TEST_F(StoreManifestTest, WhenTheTableOfTheTruthIsDamagedToo_RefusesUntouched) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  RuinManifest();
  const std::vector<std::string> tables = FilesOf(options_.path, ".sst");
  ASSERT_EQ(tables.size(), 1u);
  const auto size = static_cast<int64_t>(fs::file_size(tables[0]));
  for (int64_t at = 0; at < size - 8; at += 101) {
    SCOPED_TRACE(at);
    FlipByte(tables[0], at);
    ExpectRefused();
    FlipByte(tables[0], at);
  }
}

// What alone would be cut off must not be where the store is refused all the
// same.
TEST_F(StoreManifestTest, WhenATableOfBeforeIsDamagedToo_RefusesUntouched) {
  ASSERT_OK(Open());
  ASSERT_OK(Put(kC, std::string(9000, 'c')));
  ASSERT_NO_FATAL_FAILURE(Flush());  // opens it again, with a table
  RuinManifest();
  BringLogsBack();
  const std::vector<std::string> tables = FilesOf(options_.path, ".sst");
  ASSERT_EQ(tables.size(), 2u);
  const auto size = static_cast<int64_t>(fs::file_size(tables[0]));
  for (int64_t at = 0; at < size - 8; at += 101) {
    SCOPED_TRACE(at);
    FlipByte(tables[0], at);
    ExpectRefused();
    FlipByte(tables[0], at);
  }
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
  EXPECT_EQ(store_->Get(kC)->value, std::string(9000, 'c'));
}

// What only RocksDB finds.
TEST_F(StoreManifestTest, WhenItIsCutAndRefusedAllTheSame_SaysWhereItIs) {
  struct NoNewManifest : rocksdb::FileSystemWrapper {
    using FileSystemWrapper::FileSystemWrapper;
    const char* Name() const override { return "NoNewManifest"; }
    rocksdb::IOStatus NewWritableFile(
        const std::string& file, const rocksdb::FileOptions& options,
        std::unique_ptr<rocksdb::FSWritableFile>* result,
        rocksdb::IODebugContext* debug) override {
      const fs::path path(file);
      if (path.parent_path().filename() == "db" && path.extension() == "" &&
          absl::StartsWith(path.filename().string(), "MANIFEST-")) {
        return rocksdb::IOStatus::Corruption("found late");
      }
      return target()->NewWritableFile(file, options, result, debug);
    }
  };
  ASSERT_NO_FATAL_FAILURE(Flush());
  RuinManifest();
  BringLogsBack();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(
      std::make_shared<NoNewManifest>(rocksdb::FileSystem::Default()));
  options_.env = env.get();
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                               AllOf(HasSubstr("found late"),
                                     HasSubstr(options_.path + "/cut-logs-"),
                                     Not(HasSubstr("nothing was changed")))));
  options_.env = nullptr;
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
}

TEST_F(StoreManifestTest, WhenATableWasNotFinished_ItIsNoReasonToRefuse) {
  ASSERT_NO_FATAL_FAILURE(Flush());
  RuinManifest();
  BringLogsBack();
  for (const std::string& table : FilesOf(options_.path, ".sst")) {
    fs::resize_file(table, fs::file_size(table) / 2);
  }
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get(kB)->value, "2");
}

}  // namespace
}  // namespace bulwark::store
