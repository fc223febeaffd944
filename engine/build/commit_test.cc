// Images of containers. Needs root: owners, whiteouts, trusted attributes.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

#include "engine/build/testing/build_fixture.h"

namespace bulwark::engine::testing {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommitTest : public BuildFixture {
 protected:
  void SetUp() override {
    Write("a", "old");
    ASSERT_OK_AND_ASSIGN(
        base_, Build("FROM scratch\nCOPY a /a\nCOPY a /b\nENV X=1 Y=2\n"
                     "ENTRYPOINT [\"/e\"]\nCMD [\"c\"]\nONBUILD ENV Z=1\n"));
    upper_ = dir_ / "upper";
    ASSERT_OK(os::MakeDirs(upper_ + "/dir", 0755));
    ASSERT_OK(os::WriteFileDurably(upper_ + "/a", "new", 0640));
    ASSERT_EQ(chown((upper_ + "/a").c_str(), 1000, 44), 0);
    ASSERT_EQ(mknod((upper_ + "/b").c_str(), S_IFCHR, makedev(0, 0)), 0);
    ASSERT_EQ(setxattr((upper_ + "/dir").c_str(), "trusted.overlay.opaque", "y",
                       1, 0),
              0);
    request_commit_.base = base_.digest;
    request_commit_.upper_dir = upper_;
  }

  Image base_;
  std::string upper_;
  CommitRequest request_commit_;
};

TEST_F(CommitTest, WhenCommitted_TheImageHasOneMoreLayer) {
  request_commit_.tags = {"made:1"};
  request_commit_.config.command = {"d"};
  request_commit_.config.env = {"X=3"};
  request_commit_.changes = {"USER app", "ENV W=4", "CMD [\"f\", \"g\"]"};
  ASSERT_OK_AND_ASSIGN(const Image image, images_->Commit(request_commit_));
  EXPECT_THAT(image.references, Contains(HasSubstr("made:1")));
  ASSERT_EQ(image.layers.size(), base_.layers.size() + 1);
  EXPECT_EQ(image.layers[0], base_.layers[0]);
  const std::string& layer = image.layers.back();
  EXPECT_THAT(os::ReadFile(layer + "/a", 100),
              ::bulwark::testing::IsOkAndHolds("new"));
  struct stat st;
  ASSERT_EQ(lstat((layer + "/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 1000u);
  EXPECT_EQ(st.st_gid, 44u);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  ASSERT_EQ(lstat((layer + "/b").c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == 0);
  char opaque = 0;
  EXPECT_EQ(
      getxattr((layer + "/dir").c_str(), "trusted.overlay.opaque", &opaque, 1),
      1);
  EXPECT_THAT(image.config.entrypoint, ElementsAre("/e"));
  EXPECT_THAT(image.config.command, ElementsAre("f", "g"));
  EXPECT_THAT(image.config.env, ElementsAre("Y=2", "X=3", "W=4"));
  EXPECT_EQ(image.config.user, "app");
  // The container's own layer is as it was.
  EXPECT_THAT(os::ReadFile(upper_ + "/a", 100),
              ::bulwark::testing::IsOkAndHolds("new"));
  ASSERT_OK(images_->Get("made:1").status());
}

TEST_F(CommitTest, WhenNothingChanged_TheLayersAreTheSame) {
  ASSERT_OK(os::RemoveTree(upper_));
  ASSERT_OK(os::MakeDirs(upper_, 0755));
  ASSERT_OK_AND_ASSIGN(const Image image, images_->Commit(request_commit_));
  EXPECT_EQ(image.layers, base_.layers);
}

// With the store, and what is committed, on a disk of 100 MB.
class CommitDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(os::MakeDirs(dir_ / "disk", 0700));
    ASSERT_OK(os::MakeDirs(dir_ / "upper", 0755));
    // In a mount namespace of our own: it goes with the process.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0,
                    "size=100m,nr_inodes=400"),
              0);
    LocalImagesConfig config;
    config.state_dir = dir_ / "disk/state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    config.engine = &engine_;
    ASSERT_OK_AND_ASSIGN(images_, LocalImages::Open(config));
    ASSERT_OK(os::MakeDirs(dir_ / "context", 0755));
    ASSERT_OK(os::WriteFileDurably(dir_ / "context/Dockerfile",
                                   "FROM scratch\nCOPY Dockerfile /\n", 0644));
    BuildRequest build;
    build.context_dir = dir_ / "context";
    ASSERT_OK_AND_ASSIGN(const Image base, images_->Build(build, nullptr));
    commit_.base = base.digest;
    commit_.upper_dir = dir_ / "upper";
  }
  void TearDown() override {
    images_.reset();
    EXPECT_EQ(umount((dir_ / "disk").c_str()), 0);
  }
  int64_t Free() {
    struct statvfs info;
    EXPECT_EQ(statvfs((dir_ / "disk").c_str(), &info), 0);
    return static_cast<int64_t>(info.f_bavail * info.f_frsize);
  }
  // Bytes that do not compress.
  void WriteUpper(const std::string& name, size_t size) {
    std::string bytes;
    while (bytes.size() < size) {
      const uint64_t word = entropy_.Next();
      bytes.append(reinterpret_cast<const char*>(&word), sizeof(word));
    }
    ASSERT_OK(os::WriteFileDurably(dir_ / ("upper/" + name), bytes, 0644));
  }

  ::bulwark::testing::TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{3};
  FakeEngine engine_{clock_};
  std::unique_ptr<LocalImages> images_;
  CommitRequest commit_;
};

TEST_F(CommitDiskTest, WhenTheDiskWouldBeTooFull_RefusesBeforeItWrites) {
  WriteUpper("large", 20 << 20);
  const int64_t before = Free();
  EXPECT_THAT(
      images_->Commit(commit_),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("64Mi stay free")));
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(images_->List().size(), 1u);
  ASSERT_EQ(unlink((dir_ / "upper/large").c_str()), 0);
  WriteUpper("small", 1 << 20);
  EXPECT_OK(images_->Commit(commit_).status());
}

TEST_F(CommitDiskTest, WhenTheDiskIsFullMeanwhile_NothingStays) {
  // In this, before it can be known: the disk has no more names for files.
  for (int i = 0; i < 500; ++i) {
    std::ofstream(dir_ / absl::StrCat("upper/f", i)) << i;
  }
  const int64_t before = Free();
  EXPECT_THAT(images_->Commit(commit_),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(images_->List().size(), 1u);
  EXPECT_THAT(os::ListDir(dir_ / "disk/state/ingest"),
              ::bulwark::testing::IsOkAndHolds(::testing::IsEmpty()));
  EXPECT_EQ(Free(), before);
  for (int i = 10; i < 500; ++i) {
    ASSERT_EQ(unlink((dir_ / absl::StrCat("upper/f", i)).c_str()), 0);
  }
  EXPECT_OK(images_->Commit(commit_).status());
}

TEST_F(CommitTest, WhenAChangeIsWrong_SaysWhichAndMakesNothing) {
  const size_t images = images_->List().size();
  for (const char* change :
       {"RUN true", "COPY a b", "FROM x", "NONSENSE", ""}) {
    request_commit_.changes = {change};
    EXPECT_THAT(images_->Commit(request_commit_),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << change;
  }
  request_commit_.changes.clear();
  request_commit_.tags = {"a:b:c"};
  EXPECT_THAT(images_->Commit(request_commit_),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request_commit_.tags.clear();
  request_commit_.base = "sha256:" + std::string(64, '0');
  EXPECT_THAT(images_->Commit(request_commit_),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(images_->List().size(), images);
}

}  // namespace
}  // namespace bulwark::engine::testing
