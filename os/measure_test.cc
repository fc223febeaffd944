#include "os/measure.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

class MeasureTreeTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(MakeDirs(tree_ + "/a/b", 0755)); }
  static TreeUsage Measure(const std::string& path,
                           int64_t max_entries = INT64_MAX) {
    const absl::StatusOr<TreeUsage> usage = MeasureTree(path, max_entries);
    EXPECT_OK(usage);
    return usage.value_or(TreeUsage{-1, -1});
  }

  testing::TempDir dir_;
  const std::string tree_ = dir_ / "tree";
};

TEST_F(MeasureTreeTest, CountsBlocksOnceForAFileWithTwoNames) {
  const TreeUsage empty = Measure(tree_);
  EXPECT_EQ(empty.entries, 2);
  ASSERT_OK(WriteFileDurably(tree_ + "/a/b/f", std::string(100000, 'x')));
  const TreeUsage full = Measure(tree_);
  EXPECT_GE(full.bytes - empty.bytes, 100000);
  EXPECT_LT(full.bytes - empty.bytes, 200000);
  ASSERT_EQ(link((tree_ + "/a/b/f").c_str(), (tree_ + "/g").c_str()), 0);
  EXPECT_EQ(Measure(tree_).bytes, full.bytes);
  EXPECT_EQ(Measure(tree_).entries, 4);
}

TEST_F(MeasureTreeTest, FollowsNoLink) {
  const int64_t before = Measure(tree_).bytes;
  ASSERT_EQ(symlink("/usr", (tree_ + "/h").c_str()), 0);
  EXPECT_LT(Measure(tree_).bytes, before + 10000);
  ASSERT_EQ(symlink(tree_.c_str(), (dir_ / "link").c_str()), 0);
  EXPECT_EQ(Measure(dir_ / "link").entries, 0);
}

TEST_F(MeasureTreeTest, TakesAFileAndNothing) {
  ASSERT_OK(WriteFileDurably(dir_ / "file", std::string(100000, 'x')));
  EXPECT_GE(Measure(dir_ / "file").bytes, 100000);
  EXPECT_EQ(Measure(dir_ / "file").entries, 0);
  EXPECT_EQ(Measure(dir_ / "nothing").bytes, 0);
}

TEST_F(MeasureTreeTest, StopsAtTheMostEntries) {
  for (int i = 0; i < 20; ++i) {
    std::ofstream(tree_ + "/a/b/" + std::to_string(i)) << "x";
  }
  EXPECT_EQ(Measure(tree_, 7).entries, 7);
  EXPECT_EQ(Measure(tree_, 22).entries, 22);
  EXPECT_EQ(Measure(tree_, 100).entries, 22);
}

// As a container may make one: nobody else's look at the disk ends by it.
TEST_F(MeasureTreeTest, WhenPathsAreTooLongToName_CountsWhatIsAbove) {
  const std::string name(200, 'd');
  UniqueFd at(open(tree_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0755), 0);
    at.Reset(
        openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.ok());
  }
  const int64_t entries = Measure(tree_).entries;
  EXPECT_GE(entries, 2 + PATH_MAX / 201);
  EXPECT_LT(entries, 2 + 40);
  EXPECT_OK(RemoveTree(tree_));
}

TEST_F(MeasureTreeTest, TakesManyLevelsWithFewDescriptors) {
  std::string deep = tree_;
  for (int i = 0; i < 1500; ++i) {
    deep += "/d";
    ASSERT_EQ(mkdir(deep.c_str(), 0755), 0);
  }
  EXPECT_EQ(Measure(tree_).entries, 2 + 1500);
  EXPECT_OK(RemoveTree(tree_));
}

TEST(FreeBytesTest, WhenThereIsNoSuchFile_NamesIt) {
  testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(const int64_t bytes, FreeBytes(dir.path()));
  EXPECT_GT(bytes, 0);
  EXPECT_THAT(FreeBytes(dir / "none"),
              testing::StatusIs(absl::StatusCode::kNotFound,
                                ::testing::HasSubstr(dir / "none")));
}

}  // namespace
}  // namespace bulwark::os
