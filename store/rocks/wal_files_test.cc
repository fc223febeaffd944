#include "store/rocks/wal_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temp_dir.h"

namespace bulwark::store {
namespace {

namespace fs = std::filesystem;
using ::rocksdb::IOStatus;

constexpr uint64_t kRoom = 1000;

// Writes files through WalFiles.
class WalFilesTest : public ::testing::Test {
 protected:
  std::unique_ptr<rocksdb::FSWritableFile> Make(const std::string& path,
                                                uint64_t room = kRoom) {
    systems_.push_back(std::make_unique<WalFiles>(
        WalFiles::Options{dir_.path(), room, [] { return false; },
                          [this] { ++errors_; }},
        rocksdb::FileSystem::Default()));
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const IOStatus made =
        systems_.back()->NewWritableFile(path, {}, &file, nullptr);
    EXPECT_TRUE(made.ok()) << made.ToString();
    return file;
  }
  static IOStatus Append(rocksdb::FSWritableFile& file,
                         const std::string& data) {
    return file.Append(data, {}, nullptr);
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Runs `write` while no file may be longer than `bytes`: a write ends in its
  // middle then, as on a full disk.
  static void Limited(rlim_t bytes, const std::function<void()>& write) {
    rlimit before;
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit limit = {bytes, before.rlim_max};
    ASSERT_NE(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    write();
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  }
  static std::string Zeros(uint64_t size) { return std::string(size, '\0'); }

  testing::TempDir dir_;
  const std::string log_ = dir_ / "000004.log";
  std::vector<std::unique_ptr<WalFiles>> systems_;
  int errors_ = 0;
};

TEST_F(WalFilesTest, WhenRecordsFitIntoTheRoom_TheFileStaysAsLongAsItIs) {
  const auto file = Make(log_);
  ASSERT_TRUE(Append(*file, "first").ok());
  EXPECT_EQ(Read(log_), "first" + Zeros(kRoom));
  // A quarter of it stays for the next.
  const std::string record(kRoom * 3 / 4, 'x');
  ASSERT_TRUE(Append(*file, record).ok());
  EXPECT_EQ(Read(log_), "first" + record + Zeros(kRoom - record.size()));
  EXPECT_EQ(file->GetFileSize({}, nullptr), 5 + record.size());
}

TEST_F(WalFilesTest, WhenLittleOfTheRoomIsLeft_ThereIsMore) {
  const auto file = Make(log_);
  ASSERT_TRUE(Append(*file, "first").ok());
  const std::string record(kRoom * 3 / 4 + 1, 'x');
  ASSERT_TRUE(Append(*file, record).ok());
  EXPECT_EQ(Read(log_), "first" + record + Zeros(kRoom));
}

TEST_F(WalFilesTest, WhenARecordGoesBeyondTheRoom_ThereIsRoomBehindIt) {
  const auto file = Make(log_);
  ASSERT_TRUE(Append(*file, "first").ok());
  const std::string big(3 * kRoom, 'x');
  ASSERT_TRUE(Append(*file, big).ok());
  EXPECT_EQ(Read(log_), "first" + big + Zeros(kRoom));
  ASSERT_TRUE(Append(*file, "last").ok());
  EXPECT_EQ(Read(log_), "first" + big + "last" + Zeros(kRoom - 4));
}

TEST_F(WalFilesTest, WhenClosed_TheFileStaysAsLongAsItIs) {
  const auto file = Make(log_);
  // As RocksDB does, which cuts a file at its end then.
  file->SetPreallocationBlockSize(64 << 10);
  file->PrepareWrite(0, 5, {}, nullptr);
  ASSERT_TRUE(Append(*file, "first").ok());
  ASSERT_TRUE(Append(*file, "second").ok());
  ASSERT_TRUE(file->Close({}, nullptr).ok());
  EXPECT_EQ(Read(log_), "firstsecond" + Zeros(kRoom - 6));
}

TEST_F(WalFilesTest, WhenTheLogIsOpen_ItsLengthIsThatOfItsRecords) {
  auto file = Make(log_);
  ASSERT_TRUE(Append(*file, "first").ok());
  uint64_t size = 0;
  ASSERT_TRUE(systems_[0]->GetFileSize(log_, {}, &size, nullptr).ok());
  EXPECT_EQ(size, 5u);
  ASSERT_TRUE(file->Close({}, nullptr).ok());
  file = nullptr;
  ASSERT_TRUE(systems_[0]->GetFileSize(log_, {}, &size, nullptr).ok());
  EXPECT_EQ(size, 5 + kRoom);
}

TEST_F(WalFilesTest, WhenAnAppendFailedHalfDone_TheLogEndsWithItsRecords) {
  Limited(150, [&] {
    const auto file = Make(log_, 100);
    ASSERT_TRUE(Append(*file, "first").ok());  // and zeros up to 105
    EXPECT_FALSE(Append(*file, std::string(200, 'x')).ok());
    EXPECT_EQ(Read(log_).size(), 150u);
    ASSERT_TRUE(file->Close({}, nullptr).ok());
  });
  EXPECT_EQ(Read(log_), "first");
  EXPECT_EQ(errors_, 1);
}

TEST_F(WalFilesTest, WhenZerosCouldNotBeWritten_TheLogIsNotMadeLonger) {
  Limited(50, [&] {
    const auto file = Make(log_);
    ASSERT_TRUE(Append(*file, "first").ok());
    ASSERT_TRUE(file->Close({}, nullptr).ok());
  });
  EXPECT_LE(Read(log_).size(), 50u);
}

TEST_F(WalFilesTest, WhenThereIsNoRoomOnTheDisk_RecordsAreWrittenAllTheSame) {
  IOStatus first, second, beyond;
  Limited(100, [&] {
    const auto file = Make(log_);
    first = Append(*file, "first");
    second = Append(*file, std::string(95, 'x'));
    beyond = Append(*file, "y");
  });
  EXPECT_TRUE(first.ok()) << first.ToString();
  EXPECT_TRUE(second.ok()) << second.ToString();
  EXPECT_FALSE(beyond.ok());
  EXPECT_EQ(errors_, 1);
  EXPECT_EQ(Read(log_), "first" + std::string(95, 'x'));
}

TEST_F(WalFilesTest, WhenItIsNoLogOfTheDirectory_NothingIsAdded) {
  fs::create_directory(dir_ / "copy");
  for (const std::string& path :
       {dir_ / "MANIFEST-000001", dir_ / "copy/000004.log"}) {
    const auto file = Make(path);
    ASSERT_TRUE(Append(*file, "all").ok());
    ASSERT_TRUE(file->Close({}, nullptr).ok());
    EXPECT_EQ(Read(path), "all");
  }
  const auto file = Make(log_, 0);
  ASSERT_TRUE(Append(*file, "all").ok());
  EXPECT_EQ(Read(log_), "all");
}

}  // namespace
}  // namespace bulwark::store
