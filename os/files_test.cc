#include "os/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::os {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

TEST(WriteFileDurablyTest, WhenFileExists_ReplacesItAndLeavesNoTemporary) {
  TempDir dir;
  ASSERT_OK(WriteFileDurably(dir / "a", "old contents"));

  ASSERT_OK(WriteFileDurably(dir / "a", "new", 0640));

  EXPECT_THAT(ReadFile(dir / "a", 100), IsOkAndHolds("new"));
  EXPECT_THAT(ListDir(dir.path()), IsOkAndHolds(ElementsAre("a")));
  struct stat st;
  ASSERT_EQ(stat((dir / "a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640);
}

TEST(WriteFileDurablyTest, WhenDirectoryIsMissing_NamesThePath) {
  TempDir dir;
  EXPECT_THAT(WriteFileDurably(dir / "no/a", "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/a")));
}

TEST(WriteFileDurablyTest, WhenTargetIsADirectory_FailsAndLeavesNoTemporary) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "a", 0700));
  EXPECT_FALSE(WriteFileDurably(dir / "a", "x").ok());
  EXPECT_THAT(ListDir(dir.path()), IsOkAndHolds(ElementsAre("a")));
}

TEST(ReadFileTest, WhenLargerThanLimit_IsResourceExhausted) {
  TempDir dir;
  ASSERT_OK(WriteFileDurably(dir / "a", std::string(11, 'x')));
  EXPECT_THAT(ReadFile(dir / "a", 11), IsOkAndHolds(std::string(11, 'x')));
  EXPECT_THAT(ReadFile(dir / "a", 10),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ReadFileTest, WhenItIsAFifo_FailsInsteadOfBlocking) {
  TempDir dir;
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(dir / "fifo", 10),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(MakeDirsTest, WhenParentsAreMissing_MakesThem) {
  TempDir dir;
  EXPECT_OK(MakeDirs(dir / "a/b/c", 0700));
  EXPECT_OK(MakeDirs(dir / "a/b/c", 0700));
  EXPECT_TRUE(Exists(dir / "a/b/c"));
  ASSERT_OK(WriteFileDurably(dir / "file", ""));
  EXPECT_FALSE(MakeDirs(dir / "file", 0700).ok());
  EXPECT_FALSE(MakeDirs(dir / "file/x", 0700).ok());
}

TEST(RemoveTreeTest, WhenTreeHoldsLinks_RemovesTheLinksOnly) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "outside", 0700));
  ASSERT_OK(WriteFileDurably(dir / "outside/keep", "x"));
  ASSERT_OK(MakeDirs(dir / "tree/sub", 0700));
  ASSERT_EQ(symlink("../../outside", (dir / "tree/sub/link").c_str()), 0);
  ASSERT_EQ(symlink((dir / "outside").c_str(), (dir / "tree/abs").c_str()), 0);

  ASSERT_OK(RemoveTree(dir / "tree"));

  EXPECT_FALSE(Exists(dir / "tree"));
  EXPECT_TRUE(Exists(dir / "outside/keep"));
}

TEST(RemoveTreeTest, WhenPathIsALinkOrMissing_RemovesOnlyTheLink) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "outside", 0700));
  ASSERT_EQ(symlink("outside", (dir / "link").c_str()), 0);
  EXPECT_OK(RemoveTree(dir / "link"));
  EXPECT_TRUE(Exists(dir / "outside"));
  EXPECT_OK(RemoveTree(dir / "link"));
  EXPECT_OK(RemoveTree(dir / "no/such/path"));
}

TEST(RemoveTreeTest, WhenTreeIsVeryDeep_RemovesIt) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "tree", 0700));
  UniqueFd fd(open((dir / "tree").c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(mkdirat(fd.get(), "d", 0700), 0);
    ASSERT_EQ(mkdirat(fd.get(), "e", 0700), 0);
    fd.Reset(openat(fd.get(), "d", O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(fd.ok());
  }
  fd.Reset();
  EXPECT_OK(RemoveTree(dir / "tree"));
  EXPECT_THAT(ListDir(dir.path()), IsOkAndHolds(IsEmpty()));
}

TEST(RemoveTreeAtTest, WhenNameIsNotAnEntry_IsRefused) {
  TempDir dir;
  UniqueFd fd(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
  for (const char* name : {"", ".", "..", "a/b"}) {
    EXPECT_THAT(RemoveTreeAt(fd.get(), name),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(OpenInRootTest, WhenLinksPointOutside_StaysInside) {
  TempDir dir;
  ASSERT_OK(MakeDirs(dir / "root/etc", 0700));
  ASSERT_OK(WriteFileDurably(dir / "secret", "outside"));
  ASSERT_OK(WriteFileDurably(dir / "root/secret", "inside"));
  ASSERT_EQ(symlink("../../../secret", (dir / "root/etc/up").c_str()), 0);
  ASSERT_EQ(symlink("/secret", (dir / "root/etc/abs").c_str()), 0);
  UniqueFd root(open((dir / "root").c_str(), O_RDONLY | O_DIRECTORY));

  for (const char* path : {"etc/up", "/etc/abs", "../secret", "secret"}) {
    ASSERT_OK_AND_ASSIGN(UniqueFd fd, OpenInRoot(root.get(), path, O_RDONLY));
    EXPECT_THAT(ReadFd(fd.get(), path, 100), IsOkAndHolds("inside")) << path;
  }
  EXPECT_THAT(OpenInRoot(root.get(), "none", O_RDONLY),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace bulwark::os
