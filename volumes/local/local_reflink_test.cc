// Snapshots and restores on file systems that can share blocks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "base/testing/status_matchers.h"
#include "os/files.h"
#include "os/testing/reflink_disk.h"
#include "volumes/local/local_volumes.h"

namespace bulwark::volumes {
namespace {

constexpr int64_t kFile = 16 << 20;
constexpr int64_t kSmall = 1 << 20;  // what a file system keeps books with

class LocalReflinkTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(os::PrivateMounts()); }
  void SetUp() override {
    const absl::Status made = disk_.Make(GetParam());
    if (absl::IsFailedPrecondition(made)) GTEST_SKIP() << made;
    ASSERT_OK(made);
    volumes_ = std::make_unique<LocalVolumes>(disk_.path());
    ASSERT_OK(volumes_->Open());
    ASSERT_OK_AND_ASSIGN(const VolumeInfo info, volumes_->Ensure({.id = "v"}));
    data_ = info.path + "/data";
    std::ofstream(data_, std::ios::binary) << std::string(kFile, 'a');
  }

  int64_t Free() { return disk_.FreeBytes().value_or(-1); }
  static std::string Read(const std::string& path) {
    return os::ReadFile(path, 2 * kFile).value_or("none");
  }
  static int64_t Shared(const std::string& path) {
    const absl::StatusOr<os::Extents> extents = os::ExtentsOf(path);
    EXPECT_OK(extents);
    return extents.ok() ? extents->shared : -1;
  }

  os::ReflinkDisk disk_;
  std::unique_ptr<LocalVolumes> volumes_;
  std::string data_;
};

TEST_P(LocalReflinkTest, ASnapshotTakesNoSpaceUntilTheVolumeIsWritten) {
  const int64_t before = Free();
  ASSERT_OK_AND_ASSIGN(const SnapshotInfo made,
                       volumes_->Snapshot("v", "s", nullptr));
  EXPECT_EQ(made.size_bytes, kFile);
  EXPECT_LT(before - Free(), kSmall);
  EXPECT_EQ(Shared(data_), kFile);

  {
    std::fstream file(data_, std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(kFile / 2, 'b');
  }
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ContentView> view,
                       volumes_->OpenSnapshot("v", "s"));
  const std::string kept = view->parent() + "/" + kContentName + "/data";
  EXPECT_EQ(Read(kept), std::string(kFile, 'a'));
  EXPECT_GE(before - Free(), kFile / 2 - kSmall);
  EXPECT_EQ(Shared(data_), kFile / 2);
}

TEST_P(LocalReflinkTest, ARestoreSharesBlocksWithItsSnapshotAndIsIndependent) {
  ASSERT_OK(volumes_->Snapshot("v", "s", nullptr));
  std::ofstream(data_, std::ios::binary) << std::string(kFile, 'b');
  const int64_t before = Free();
  ASSERT_OK(volumes_->Stage("v", "t", "s", nullptr));
  EXPECT_LT(before - Free(), kSmall);
  ASSERT_OK(volumes_->Swap("v", "t"));
  ASSERT_OK(volumes_->DropStage("v"));  // what was the content
  EXPECT_EQ(Read(data_), std::string(kFile, 'a'));
  EXPECT_EQ(Shared(data_), kFile);
  EXPECT_GE(Free() - before, kFile - kSmall);

  std::ofstream(data_, std::ios::binary) << "other";
  ASSERT_OK(volumes_->Stage("v", "u", "s", nullptr));
  ASSERT_OK(volumes_->Swap("v", "u"));
  EXPECT_EQ(Read(data_), std::string(kFile, 'a'));
  ASSERT_OK(volumes_->DeleteSnapshot("v", "s"));
  EXPECT_EQ(Read(data_), std::string(kFile, 'a'));
}

TEST_P(LocalReflinkTest, ACloneSharesBlocks) {
  ASSERT_OK(volumes_->Snapshot("v", "s", nullptr));
  const int64_t before = Free();
  ASSERT_OK_AND_ASSIGN(const VolumeInfo copy,
                       volumes_->Clone("v", "s", {.id = "w"}, nullptr));
  EXPECT_LT(before - Free(), kSmall);
  EXPECT_EQ(Shared(copy.path + "/data"), kFile);
  std::ofstream(data_, std::ios::binary) << "other";
  EXPECT_EQ(Read(copy.path + "/data"), std::string(kFile, 'a'));
}

INSTANTIATE_TEST_SUITE_P(Types, LocalReflinkTest,
                         ::testing::ValuesIn(os::kReflinkTypes),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bulwark::volumes
