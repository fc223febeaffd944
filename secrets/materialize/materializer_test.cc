#include "secrets/materialize/materializer.h"

#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "secrets/fake/fake_vault.h"

namespace bulwark::secrets {
namespace {

namespace fs = std::filesystem;
using bulwark::testing::StatusIs;

class MaterializerTest : public ::testing::Test {
 protected:
  ~MaterializerTest() override { EXPECT_OK(Materializer::Teardown(path_)); }

  static DeliveryOrder Order() {
    DeliveredFile file;
    file.path = "/run/configs/a";
    file.content = "x";
    return {"c1", {file}};
  }

  bulwark::testing::TempDir dir_;
  const std::string path_ = dir_ / "inputs";
  FakeVault vault_;
  Materializer materializer_{path_, vault_};
};

TEST_F(MaterializerTest, WhenOpened_IsInMemoryAndClosedToOthers) {
  ASSERT_OK(materializer_.Open());
  struct statfs info {};
  ASSERT_EQ(statfs(path_.c_str(), &info), 0);
  EXPECT_TRUE(info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
  struct stat mode {};
  ASSERT_EQ(stat(path_.c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 07777, 0700u);
}

TEST_F(MaterializerTest, WhenTheKernelIsOlder_TheMemoryIsARamfs) {
  ASSERT_OK(materializer_.Open(/*tmpfs=*/false));
  struct statfs info {};
  ASSERT_EQ(statfs(path_.c_str(), &info), 0);
  EXPECT_EQ(info.f_type, RAMFS_MAGIC);
  struct stat mode {};
  ASSERT_EQ(stat(path_.c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 07777, 0700u);
  // After an upgrade of the kernel's features what is there stays.
  ASSERT_OK(materializer_.Deliver(Order()));
  Materializer next(path_, vault_);
  ASSERT_OK(next.Open());
  EXPECT_THAT(next.List(), ::testing::ElementsAre("c1"));
}

TEST_F(MaterializerTest, WhenOpenedAgain_KeepsWhatContainersUse) {
  ASSERT_OK(materializer_.Open());
  ASSERT_OK(materializer_.Deliver(Order()));
  Materializer next(path_, vault_);
  ASSERT_OK(next.Open());
  EXPECT_THAT(next.List(), ::testing::ElementsAre("c1"));
}

TEST_F(MaterializerTest, WhenADiskIsMountedThere_Refuses) {
  fs::create_directories(path_);
  ASSERT_EQ(mount("proc", path_.c_str(), "proc", 0, nullptr), 0);
  EXPECT_THAT(materializer_.Open(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(MaterializerTest, WhenTornDown_LeavesNoMountAlsoWhileInUse) {
  ASSERT_OK(materializer_.Open());
  ASSERT_OK(materializer_.Deliver(Order()));
  FILE* held = fopen((path_ + "/c1/configs/a").c_str(), "r");
  ASSERT_NE(held, nullptr);
  EXPECT_OK(Materializer::Teardown(path_));
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_EQ(fgetc(held), 'x');
  fclose(held);
  EXPECT_OK(Materializer::Teardown(path_));
}

}  // namespace
}  // namespace bulwark::secrets

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // Mounts of the test are its own.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    printf("cannot run: needs root\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
