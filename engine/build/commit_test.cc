// Images of containers. Needs root: owners, whiteouts, trusted attributes.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

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
