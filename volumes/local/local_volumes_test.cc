#include "volumes/local/local_volumes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using testing::StatusIs;

class LocalVolumesTest : public ::testing::Test {
 protected:
  mode_t Mode(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  testing::TempDir dir_;
  LocalVolumes volumes_{dir_.path()};
};

TEST_F(LocalVolumesTest, WhenNotOpen_Refuses) {
  EXPECT_THAT(volumes_.Ensure({.id = "a"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes_.Delete("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LocalVolumesTest, WhenMade_HasItsModesWhateverTheUmask) {
  mode_t before = umask(0077);
  ASSERT_OK(volumes_.Open());
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_.Ensure({.id = "data"}));
  umask(before);
  EXPECT_EQ(info.path, dir_ / "volumes/data");
  EXPECT_EQ(Mode(dir_ / "volumes"), 0711u);
  EXPECT_EQ(Mode(info.path), 0755u);
}

TEST_F(LocalVolumesTest, WhenEnsuredAgain_KeepsDataAndOwner) {
  ASSERT_OK(volumes_.Open());
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_.Ensure({.id = "data"}));
  std::ofstream(info.path + "/file") << "kept";
  ASSERT_EQ(chmod(info.path.c_str(), 0700), 0);
  EXPECT_OK(volumes_.Ensure({.id = "data"}));
  EXPECT_TRUE(fs::exists(info.path + "/file"));
  EXPECT_EQ(Mode(info.path), 0700u);
}

TEST_F(LocalVolumesTest, WhenSomethingElseHoldsTheName_Refuses) {
  ASSERT_OK(volumes_.Open());
  fs::create_symlink("/etc", dir_ / "volumes/link");
  std::ofstream(dir_ / "volumes/file") << "";
  EXPECT_THAT(volumes_.Ensure({.id = "link"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes_.Ensure({.id = "file"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(volumes_.List().empty());
}

TEST_F(LocalVolumesTest, WhenDeleted_FollowsNoLink) {
  ASSERT_OK(volumes_.Open());
  std::ofstream(dir_ / "precious") << "x";
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_.Ensure({.id = "data"}));
  fs::create_directories(info.path + "/a/b");
  fs::create_symlink(dir_.path(), info.path + "/a/out");
  EXPECT_OK(volumes_.Delete("data"));
  EXPECT_FALSE(fs::exists(info.path));
  EXPECT_TRUE(fs::exists(dir_ / "precious"));
  EXPECT_TRUE(fs::is_empty(dir_ / "volumes/.trash"));
}

// What is removed under a copy must not be missing from it.
TEST_F(LocalVolumesTest, WhenItsSourceIsRemovedMeanwhile_ACloneIsWhole) {
  constexpr int kFiles = 50;
  const struct {
    const char* what;
    std::function<absl::Status()> remove;
  } cases[] = {
      {"snapshot", [&] { return volumes_.DeleteSnapshot("data", "s"); }},
      {"volume", [&] { return volumes_.Delete("data"); }}};
  ASSERT_OK(volumes_.Open());
  for (const auto& c : cases) {
    ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_.Ensure({.id = "data"}));
    for (int i = 0; i < kFiles; ++i) {
      std::ofstream(absl::StrCat(info.path, "/", i)) << "text";
    }
    ASSERT_OK(volumes_.Snapshot("data", "s", nullptr));
    absl::Notification removed;
    std::thread remover;
    const auto wanted = [&] {
      if (remover.joinable()) return true;
      remover = std::thread([&] {
        EXPECT_OK(c.remove());
        removed.Notify();
      });
      // It either waits for the copy, or does its harm now.
      removed.WaitForNotificationWithTimeout(absl::Milliseconds(300));
      return true;
    };
    const absl::StatusOr<VolumeInfo> made =
        volumes_.Clone("data", "s", {.id = "copy"}, wanted);
    ASSERT_TRUE(remover.joinable());
    remover.join();
    ASSERT_OK(made);
    const fs::directory_iterator copied(made->path);
    EXPECT_EQ(std::distance(begin(copied), end(copied)), kFiles) << c.what;
    EXPECT_THAT(volumes_.Clone("data", "s", {.id = "late"}, nullptr).status(),
                StatusIs(absl::StatusCode::kNotFound));
    ASSERT_OK(volumes_.Delete("copy"));
  }
}

TEST_F(LocalVolumesTest, WhenARemovalWasCutShort_OpenFinishesIt) {
  ASSERT_OK(volumes_.Open());
  fs::create_directories(dir_ / "volumes/.trash/data.0/half");
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_.Ensure({.id = "data"}));
  LocalVolumes next(dir_.path());
  ASSERT_OK(next.Open());
  EXPECT_TRUE(fs::is_empty(dir_ / "volumes/.trash"));
  ASSERT_EQ(next.List().size(), 1u);
  EXPECT_EQ(next.List()[0].path, info.path);
  // A grave of the same name does not stop a deletion either.
  fs::create_directories(dir_ / "volumes/.trash/data.0");
  EXPECT_OK(next.Delete("data"));
  EXPECT_TRUE(next.List().empty());
}

}  // namespace
}  // namespace bulwark::volumes
