#include "store/rocks/unsynced_bytes.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "base/entropy.h"
#include "base/testing/temp_dir.h"

namespace bulwark::store {
namespace {

class UnsyncedBytesTest : public ::testing::Test {
 protected:
  // As the file system does: tells first, then writes.
  void Write(uint64_t offset, const std::string& data) {
    bytes_.Write(path_, offset, data.size());
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << data;
  }
  std::string Read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  testing::TempDir dir_;
  const std::string path_ = dir_ / "file";
  std::ofstream made_{path_};
  SeededEntropy entropy_{1};
  UnsyncedBytes bytes_{0};
};

TEST_F(UnsyncedBytesTest, WhenAllIsLost_WhatWasSyncedIsThere) {
  Write(0, std::string(10000, 'a'));
  bytes_.Sync();
  Write(4000, std::string(200, 'b'));  // of two pages
  Write(4050, std::string(10, 'c'));
  Write(10000, "behind");
  bytes_.Lose(path_, true, entropy_);
  EXPECT_EQ(Read(), std::string(10000, 'a'));
  EXPECT_EQ(bytes_.size(), 10000u);
}

TEST_F(UnsyncedBytesTest, WhenSynced_NothingIsLost) {
  Write(0, std::string(5000, 'a'));
  bytes_.Sync();
  Write(100, "b");
  bytes_.Sync();
  bytes_.Lose(path_, true, entropy_);
  EXPECT_EQ(Read().substr(99, 3), "aba");
}

TEST_F(UnsyncedBytesTest, WhenSomeIsLost_EachPageIsAsAfterOneOfItsWrites) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    Write(0, std::string(8192, 'a'));
    bytes_.Sync();
    Write(0, "1");
    Write(0, "2");
    Write(5000, "3");
    bytes_.Lose(path_, false, entropy_);
    const std::string bytes = Read();
    ASSERT_EQ(bytes.size(), 8192u);
    seen.insert({bytes[0], bytes[5000]});
  }
  EXPECT_EQ(seen, (std::set<std::string>{"aa", "a3", "1a", "13", "2a", "23"}));
}

TEST_F(UnsyncedBytesTest, WhenTruncated_NothingBehindComesBack) {
  Write(0, std::string(6000, 'a'));
  bytes_.Sync();
  Write(5000, std::string(1000, 'b'));
  bytes_.Truncate(5500);
  std::filesystem::resize_file(path_, 5500);
  bytes_.Lose(path_, true, entropy_);
  EXPECT_EQ(Read(), std::string(5500, 'a'));
}

}  // namespace
}  // namespace bulwark::store
