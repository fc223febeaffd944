// Copies on file systems that can share blocks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "os/copy.h"
#include "os/files.h"
#include "os/testing/reflink_disk.h"

namespace bulwark::os {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFile = 16 << 20;
constexpr int64_t kSmall = 1 << 20;  // what a file system keeps books with
constexpr int64_t kBlock = 64 << 10;

class ReflinkTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(PrivateMounts()); }
  void SetUp() override {
    const absl::Status made = disk_.Make(GetParam());
    if (absl::IsFailedPrecondition(made)) GTEST_SKIP() << made;
    ASSERT_OK(made);
    for (const std::string& tree : {from_, to_}) fs::create_directory(tree);
    SeededEntropy entropy(1);  // nothing that could be compressed
    while (content_.size() < kFile) {
      const uint64_t bits = entropy.Next();
      content_.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
    }
    std::ofstream(from_ + "/data", std::ios::binary) << content_;
  }

  static void Overwrite(const std::string& path, const std::string& text) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(pwrite(fd.get(), text.data(), text.size(), kBlock),
              static_cast<ssize_t>(text.size()));
    ASSERT_EQ(fsync(fd.get()), 0);
  }
  static std::string Read(const std::string& path) {
    return ReadFile(path, 2 * kFile).value_or("none");
  }

  ReflinkDisk disk_;
  const std::string from_ = disk_.path() + "/from";
  const std::string to_ = disk_.path() + "/to";
  std::string content_;
};

TEST_P(ReflinkTest, WhenTheFileSystemCan_ACopySharesItsBlocks) {
  EXPECT_TRUE(CanReflink(disk_.path()));
  ASSERT_OK_AND_ASSIGN(const int64_t before, disk_.FreeBytes());
  ASSERT_OK(CopyTree(from_, to_));
  ASSERT_OK_AND_ASSIGN(const int64_t after, disk_.FreeBytes());
  EXPECT_LT(before - after, kSmall);
  EXPECT_EQ(Read(to_ + "/data"), content_);
  for (const std::string& tree : {from_, to_}) {
    ASSERT_OK_AND_ASSIGN(const Extents extents, ExtentsOf(tree + "/data"));
    EXPECT_EQ(extents.bytes, kFile) << tree;
    EXPECT_EQ(extents.shared, kFile) << tree;
  }
}

TEST_P(ReflinkTest, WhenOneIsWritten_TheOtherKeepsItsContent) {
  ASSERT_OK(CopyTree(from_, to_));
  const std::string text(kBlock, 'x');
  Overwrite(from_ + "/data", text);
  EXPECT_EQ(Read(to_ + "/data"), content_);
  std::string changed = content_;
  changed.replace(kBlock, kBlock, text);
  EXPECT_EQ(Read(from_ + "/data"), changed);
  // Only what was written is its own now.
  ASSERT_OK_AND_ASSIGN(const Extents extents, ExtentsOf(from_ + "/data"));
  EXPECT_LT(extents.shared, kFile);
  EXPECT_GE(extents.shared, kFile - 4 * kBlock);
  fs::remove(from_ + "/data");
  EXPECT_EQ(Read(to_ + "/data"), content_);
}

TEST_P(ReflinkTest, WhenTheTargetIsAnotherFileSystem_CopiesTheBytes) {
  testing::TempDir other;
  ASSERT_OK(CopyTree(from_, other.path()));
  EXPECT_EQ(Read(other / "data"), content_);
  ASSERT_OK_AND_ASSIGN(const Extents extents, ExtentsOf(from_ + "/data"));
  EXPECT_EQ(extents.shared, 0);
}

INSTANTIATE_TEST_SUITE_P(Types, ReflinkTest, ::testing::ValuesIn(kReflinkTypes),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bulwark::os
