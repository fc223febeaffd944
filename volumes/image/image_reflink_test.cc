// Snapshots, restores and clones of images on file systems that can share
// blocks.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "os/files.h"
#include "os/mounts.h"
#include "os/testing/reflink_disk.h"
#include "volumes/image/image_volumes.h"

namespace bulwark::volumes {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kImage = 64 * kMiB;
constexpr int64_t kFile = 16 * kMiB;
// What the two file systems keep books with.
constexpr int64_t kSmall = 4 * kMiB;

class ImageReflinkTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(os::PrivateMounts()); }
  void SetUp() override {
    const absl::Status made = disk_.Make(GetParam());
    if (absl::IsFailedPrecondition(made)) GTEST_SKIP() << made;
    ASSERT_OK(made);
    for (const char* folder : {"/s", "/r"}) {
      ASSERT_OK(os::MakeDirs(disk_.path() + folder, 0755));
    }
    Restart();
    ASSERT_OK_AND_ASSIGN(const VolumeInfo info, volumes_->Ensure(Spec("v")));
    data_ = info.path + "/data";
    Write(data_, 'a');
  }
  void TearDown() override {
    volumes_.reset();
    EXPECT_OK(os::UnmountBelow(disk_.path() + "/r"));
  }
  void Restart() {
    volumes_ = std::make_unique<ImageVolumes>(disk_.path() + "/s",
                                              disk_.path() + "/r");
    ASSERT_OK(volumes_->Open());
  }
  static VolumeSpec Spec(const std::string& id) {
    return {id, Driver::kImage, kImage};
  }
  std::string Image(const std::string& id) {
    return absl::StrCat(disk_.path(), "/s/volume-images/", id, "/image");
  }
  static void Write(const std::string& path, char letter) {
    std::ofstream(path, std::ios::binary) << std::string(kFile, letter);
    sync();
  }
  static std::string Read(const std::string& path) {
    return os::ReadFile(path, 2 * kFile).value_or("none");
  }
  int64_t Free() { return disk_.FreeBytes().value_or(-1); }
  static int64_t Shared(const std::string& path) {
    const absl::StatusOr<os::Extents> extents = os::ExtentsOf(path);
    EXPECT_OK(extents);
    return extents.ok() ? extents->shared : -1;
  }
  absl::Status Restore(const std::string& token) {
    const auto staged = volumes_->Stage("v", token, "s", nullptr);
    if (!staged.ok()) return staged.status();
    const absl::Status swapped = volumes_->Swap("v", token);
    return swapped.ok() ? volumes_->DropStage("v") : swapped;
  }

  os::ReflinkDisk disk_;
  std::unique_ptr<ImageVolumes> volumes_;
  std::string data_;
};

TEST_P(ImageReflinkTest, ASnapshotTakesNoSpaceUntilTheVolumeIsWritten) {
  const int64_t before = Free();
  ASSERT_OK(volumes_->Snapshot("v", "s", nullptr).status());
  EXPECT_LT(before - Free(), kSmall);
  EXPECT_GE(Shared(Image("v")), kFile);
  {
    // In place: the file system in the image may have other, free blocks.
    std::fstream file(data_, std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(kFile, 'b');
  }
  sync();
  EXPECT_GE(before - Free(), kFile - kSmall);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ContentView> view,
                       volumes_->OpenSnapshot("v", "s"));
  EXPECT_EQ(Read(absl::StrCat(view->parent(), "/", kContentName, "/data")),
            std::string(kFile, 'a'));
}

TEST_P(ImageReflinkTest, ARestoreIsIndependentOfItsSnapshot) {
  ASSERT_OK(volumes_->Snapshot("v", "s", nullptr).status());
  for (const char* token : {"t", "u"}) {
    Write(data_, 'b');
    ASSERT_OK(Restore(token));
    EXPECT_EQ(Read(data_), std::string(kFile, 'a')) << token;
  }
  ASSERT_OK(volumes_->DeleteSnapshot("v", "s"));
  Restart();
  ASSERT_OK(volumes_->Ensure(Spec("v")).status());
  EXPECT_EQ(Read(data_), std::string(kFile, 'a'));
}

TEST_P(ImageReflinkTest, ACloneSharesBlocksAndIsIndependent) {
  ASSERT_OK(volumes_->Snapshot("v", "s", nullptr).status());
  const int64_t before = Free();
  ASSERT_OK_AND_ASSIGN(const VolumeInfo copy,
                       volumes_->Clone("v", "s", Spec("w"), nullptr));
  EXPECT_GE(Shared(Image("w")), kFile - kSmall);
  EXPECT_LT(before - Free(), kImage);
  Write(copy.path + "/data", 'c');
  EXPECT_EQ(Read(data_), std::string(kFile, 'a'));
  Write(data_, 'b');
  EXPECT_EQ(Read(copy.path + "/data"), std::string(kFile, 'c'));
}

INSTANTIATE_TEST_SUITE_P(Types, ImageReflinkTest,
                         ::testing::ValuesIn(os::kReflinkTypes),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bulwark::volumes
