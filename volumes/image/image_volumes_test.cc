// What is particular to file systems in files.
#include "volumes/image/image_volumes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "os/files.h"
#include "os/mounts.h"
#include "volumes/image/image_file.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr int64_t kMiB = 1 << 20;
const Wanted kWanted = [] { return true; };

class PrivateMounts final : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "this test needs root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
const auto* const kPrivate =
    ::testing::AddGlobalTestEnvironment(new PrivateMounts);

class ImageVolumesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(dir_ / "r");
    fs::create_directory(dir_ / "s");
    Restart();
  }
  void TearDown() override {
    volumes_.reset();
    EXPECT_OK(os::UnmountBelow(dir_.path()));
    EXPECT_EQ(Loops(), 0);
  }
  void Restart() {
    volumes_ = std::make_unique<ImageVolumes>(dir_ / "s", dir_ / "r");
    ASSERT_OK(volumes_->Open());
  }
  VolumeSpec Spec(const std::string& id, int64_t size = 32 * kMiB) {
    return {id, Driver::kImage, size};
  }
  std::string Image(const std::string& id) {
    return dir_ / absl::StrCat("s/volume-images/", id, "/image");
  }
  // Bytes that can be written before the volume is full.
  static int64_t Fill(const std::string& path) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
    const std::string piece(kMiB, 'x');
    int64_t written = 0;
    while (true) {
      const ssize_t n = write(fd.get(), piece.data(), piece.size());
      if (n <= 0) break;
      written += n;
    }
    EXPECT_EQ(errno, ENOSPC);
    return written;
  }
  // Loop devices with files of this test.
  int Loops() {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/sys/block")) {
      std::ifstream file(entry.path() / "loop/backing_file");
      std::string backing;
      if (std::getline(file, backing) && backing.rfind(dir_.path(), 0) == 0) {
        ++count;
      }
    }
    return count;
  }

  testing::TempDir dir_;
  std::unique_ptr<ImageVolumes> volumes_;
};

TEST_F(ImageVolumesTest, WhenTheQuotaIsReached_OnlyTheVolumeIsFull) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  const int64_t written = Fill(info.path + "/big");
  EXPECT_GT(written, 20 * kMiB);
  EXPECT_LT(written, 32 * kMiB);
  ASSERT_OK_AND_ASSIGN(Usage usage, volumes_->GetUsage("a"));
  EXPECT_LT(usage.available_bytes, kMiB);
  EXPECT_GE(usage.used_bytes, written);
  EXPECT_GT(usage.capacity_inodes, 100);
  // It goes on when there is room again.
  fs::remove(info.path + "/big");
  std::ofstream(info.path + "/more") << "x";
  EXPECT_TRUE(fs::exists(info.path + "/more"));
}

TEST_F(ImageVolumesTest, WhenMade_TheDiskIsTakenAndTheContentIsEmpty) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  EXPECT_TRUE(fs::is_empty(info.path));
  struct stat image {};
  ASSERT_EQ(stat(Image("a").c_str(), &image), 0);
  EXPECT_EQ(image.st_size, 32 * kMiB);
  EXPECT_GE(image.st_blocks * 512, 32 * kMiB);
  struct statvfs mounted {};
  ASSERT_EQ(statvfs(info.path.c_str(), &mounted), 0);
  EXPECT_NE(mounted.f_flag & ST_NOSUID, 0u);
  EXPECT_NE(mounted.f_flag & ST_NODEV, 0u);
  EXPECT_THAT(volumes_->Ensure(Spec("b", 0)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(fs::exists(dir_ / "s/volume-images/b"));
}

TEST_F(ImageVolumesTest, WhenALargerSizeIsAskedFor_ItGrowsUnderItsUsers) {
  if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 0) {
    GTEST_SKIP() << "this environment withholds CAP_SYS_RESOURCE";
  }
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream open_file(info.path + "/log");
  open_file << "before" << std::flush;
  const int64_t first = Fill(info.path + "/big");
  ASSERT_OK(volumes_->Ensure(Spec("a", 96 * kMiB)));
  open_file << "after" << std::flush;
  EXPECT_TRUE(open_file.good());
  EXPECT_GT(Fill(info.path + "/big"), 50 * kMiB - first);
  // It never shrinks.
  ASSERT_OK(volumes_->Ensure(Spec("a", 32 * kMiB)));
  EXPECT_EQ(fs::file_size(Image("a")), 96 * kMiB);
}

TEST_F(ImageVolumesTest, WhenItMayNotGrowUnderItsUsers_ItGrowsAfterThem) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream file(info.path + "/log");
  file << "before" << std::flush;
  ASSERT_OK(volumes_->Ensure(Spec("a", 96 * kMiB)));
  file << "after" << std::flush;
  EXPECT_TRUE(file.good());
  file.close();
  ASSERT_OK(volumes_->Ensure(Spec("a", 96 * kMiB)));
  EXPECT_EQ(os::ReadFile(info.path + "/log", 100).value_or(""), "beforeafter");
  ASSERT_OK_AND_ASSIGN(Usage usage, volumes_->GetUsage("a"));
  EXPECT_GT(usage.capacity_bytes, 80 * kMiB);
  // It never shrinks.
  ASSERT_OK(volumes_->Ensure(Spec("a", 32 * kMiB)));
  EXPECT_EQ(fs::file_size(Image("a")), 96 * kMiB);
}

TEST_F(ImageVolumesTest, WhenAnotherNamespaceHasIt_ItIsNotOpenedTwice) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  fs::create_directory(dir_ / "elsewhere");
  ASSERT_EQ(mount((dir_ / "r/volumes/a").c_str(), (dir_ / "elsewhere").c_str(),
                  nullptr, MS_BIND, nullptr),
            0);
  ASSERT_OK(os::Unmount(dir_ / "r/volumes/a"));
  std::ofstream(dir_ / "elsewhere/data/file") << "x";
  Restart();
  ASSERT_OK(volumes_->Ensure(Spec("a")));
  EXPECT_EQ(Loops(), 1);
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "x");
  std::ofstream(info.path + "/file") << "y";
  EXPECT_EQ(os::ReadFile(dir_ / "elsewhere/data/file", 100).value_or(""), "y");
}

TEST_F(ImageVolumesTest, WhenAGrowthWasCutShort_TheNextProcessFinishesIt) {
  ASSERT_OK(volumes_->Ensure(Spec("a")));
  ASSERT_OK(AllocateImage(Image("a"), 96 * kMiB));
  Restart();
  ASSERT_OK(volumes_->Ensure(Spec("a", 96 * kMiB)));
  ASSERT_OK_AND_ASSIGN(Usage usage, volumes_->GetUsage("a"));
  EXPECT_GT(usage.capacity_bytes, 80 * kMiB);
}

TEST_F(ImageVolumesTest, WhenTheDiskIsFull_NothingIsLeftAndWhatIsThereStays) {
  ASSERT_OK(os::Mount("none", dir_ / "s", "tmpfs", 0, "size=64m"));
  Restart();
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream(info.path + "/file") << "kept";
  EXPECT_THAT(volumes_->Ensure(Spec("b", 128 * kMiB)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(fs::exists(dir_ / "s/volume-images/b"));
  EXPECT_THAT(volumes_->Ensure(Spec("a", 128 * kMiB)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(volumes_->Snapshot("a", "s", kWanted));
  const auto staged = volumes_->Stage("a", "t", "s", kWanted);
  EXPECT_THAT(staged.status(), StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(volumes_->Ensure(Spec("a")));
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "kept");
  volumes_.reset();
  ASSERT_OK(os::UnmountBelow(dir_ / "r"));
  ASSERT_OK(os::UnmountBelow(dir_ / "s"));
}

TEST_F(ImageVolumesTest, WhenUnmountedByAReboot_ItIsFoundAgain) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream(info.path + "/file") << "kept";
  volumes_.reset();
  ASSERT_OK(os::UnmountBelow(dir_ / "r"));
  EXPECT_EQ(Loops(), 0);
  Restart();
  EXPECT_EQ(volumes_->List().size(), 1u);
  EXPECT_THAT(volumes_->GetUsage("a"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(volumes_->Ensure(Spec("a")));
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "kept");
  EXPECT_EQ(Loops(), 1);
}

TEST_F(ImageVolumesTest, WhenItsFileSystemIsDamaged_SaysWhatToDo) {
  ASSERT_OK(volumes_->Ensure(Spec("a")));
  ASSERT_OK(os::UnmountBelow(dir_ / "r"));
  {
    UniqueFd fd(open(Image("a").c_str(), O_RDWR));
    const std::string zeros(kMiB, '\0');
    ASSERT_EQ(pwrite(fd.get(), zeros.data(), zeros.size(), 0), kMiB);
  }
  Restart();
  EXPECT_THAT(volumes_->Ensure(Spec("a")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore a")));
  EXPECT_EQ(Loops(), 0);
}

TEST_F(ImageVolumesTest, WhenKilledWhileFrozen_TheNextProcessThaws) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  ASSERT_OK(Freeze(dir_ / "r/volumes/a"));
  std::atomic<bool> written = false;
  std::thread writer([&] {
    std::ofstream(info.path + "/file") << "x";
    written = true;
  });
  Restart();
  writer.join();
  EXPECT_TRUE(written);
}

TEST_F(ImageVolumesTest, WhenWrittenMeanwhile_ASnapshotIsOfOneMoment) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::atomic<bool> stop = false;
  // Every second file comes after its partner.
  std::thread writer([&] {
    for (int i = 0; i < 4000 && !stop; ++i) {
      std::ofstream(absl::StrCat(info.path, "/a", i)) << i;
      std::ofstream(absl::StrCat(info.path, "/b", i)) << i;
    }
  });
  for (const char* name : {"s1", "s2", "s3"}) {
    ASSERT_OK(volumes_->Snapshot("a", name, kWanted));
  }
  stop = true;
  writer.join();
  for (const char* name : {"s1", "s2", "s3"}) {
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ContentView> view,
                         volumes_->OpenSnapshot("a", name));
    const std::string data = view->parent() + "/data";
    for (int i = 0; fs::exists(absl::StrCat(data, "/b", i)); ++i) {
      ASSERT_TRUE(fs::exists(absl::StrCat(data, "/a", i))) << name << " " << i;
    }
    ASSERT_NE(access((data + "/new").c_str(), F_OK), 0);
    EXPECT_FALSE(std::ofstream(data + "/new").good());  // it is read-only
  }
  EXPECT_EQ(Loops(), 1);
}

TEST_F(ImageVolumesTest, WhenASnapshotOfASmallerVolumeIsRestored_TheSizeStays) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream(info.path + "/file") << "old";
  ASSERT_OK(volumes_->Snapshot("a", "s", kWanted));
  ASSERT_OK(volumes_->Ensure(Spec("a", 96 * kMiB)));
  ASSERT_OK(volumes_->Stage("a", "t", "s", kWanted));
  ASSERT_OK(volumes_->Swap("a", "t"));
  ASSERT_OK(volumes_->DropStage("a"));
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "old");
  ASSERT_OK_AND_ASSIGN(Usage usage, volumes_->GetUsage("a"));
  EXPECT_GT(usage.capacity_bytes, 80 * kMiB);
}

TEST_F(ImageVolumesTest, WhenAProgramOfTheHostUsesIt_ASwapChangesNothing) {
  ASSERT_OK_AND_ASSIGN(VolumeInfo info, volumes_->Ensure(Spec("a")));
  std::ofstream file(info.path + "/file");
  file << "old" << std::flush;
  ASSERT_OK(volumes_->Snapshot("a", "s", kWanted));
  file << "er" << std::flush;
  ASSERT_OK(volumes_->Stage("a", "t", "s", kWanted));
  EXPECT_THAT(
      volumes_->Swap("a", "t"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("uses it")));
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "older");
  file.close();
  ASSERT_OK(volumes_->Swap("a", "t"));
  EXPECT_EQ(os::ReadFile(info.path + "/file", 100).value_or(""), "old");
}

TEST_F(ImageVolumesTest, WhenThereAreManyVolumes_EachHasItsOwnDevice) {
  constexpr int kMany = 20;
  for (int i = 0; i < kMany; ++i) {
    ASSERT_OK_AND_ASSIGN(
        VolumeInfo info,
        volumes_->Ensure(Spec(absl::StrCat("v", i), 16 * kMiB)));
    std::ofstream(info.path + "/name") << i;
  }
  EXPECT_EQ(Loops(), kMany);
  for (const VolumeInfo& info : volumes_->List()) {
    EXPECT_EQ("v" + os::ReadFile(info.path + "/name", 100).value_or(""),
              info.id);
    EXPECT_OK(volumes_->Delete(info.id));
  }
  EXPECT_EQ(Loops(), 0);
  EXPECT_TRUE(fs::is_empty(dir_ / "s/volume-images/.trash"));
}

}  // namespace
}  // namespace bulwark::volumes
