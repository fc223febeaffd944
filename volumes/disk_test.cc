#include "volumes/disk.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using testing::StatusIs;

class DiskTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
  }
  std::string Read(const std::string& name) {
    return os::ReadFile(dir_ / name, 1000).value_or("none");
  }
  absl::Status Swap() {
    return SwapOnce(dir_ / "staged", dir_ / "content", dir_ / "record");
  }

  testing::TempDir dir_;
};

TEST_F(DiskTest, WhenADirectoryIsSwappedAgain_ItStaysSwapped) {
  fs::create_directory(dir_ / "content");
  fs::create_directory(dir_ / "staged");
  Write("content/a", "old");
  Write("staged/a", "new");
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(Swap());
    EXPECT_EQ(Read("content/a"), "new");
    EXPECT_EQ(Read("staged/a"), "old");
  }
}

TEST_F(DiskTest, WhenAFileIsSwappedAgain_ItStaysSwapped) {
  Write("content", "old");
  Write("staged", "new");
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(Swap());
    EXPECT_EQ(Read("content"), "new");
    EXPECT_FALSE(Exists(dir_ / "staged"));
  }
}

TEST_F(DiskTest, WhenKilledBetweenRecordAndSwap_TheNextOneSwaps) {
  fs::create_directory(dir_ / "content");
  fs::create_directory(dir_ / "staged");
  Write("staged/a", "new");
  ASSERT_OK(Swap());
  // As if the exchange had not happened.
  fs::rename(dir_ / "content", dir_ / "x");
  fs::rename(dir_ / "staged", dir_ / "content");
  fs::rename(dir_ / "x", dir_ / "staged");
  ASSERT_OK(Swap());
  EXPECT_EQ(Read("content/a"), "new");
}

TEST_F(DiskTest, WhenNothingIsStaged_NothingIsTouched) {
  Write("content", "old");
  EXPECT_THAT(Swap(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Read("content"), "old");
}

TEST_F(DiskTest, WhenBuriedTwice_BothLieInTheTrash) {
  fs::create_directory(dir_ / "trash");
  for (const char* text : {"one", "two"}) {
    Write("a", text);
    ASSERT_OK(Bury(dir_ / "a", dir_ / "trash"));
  }
  EXPECT_EQ(Read("trash/a.0"), "one");
  EXPECT_EQ(Read("trash/a.1"), "two");
  ASSERT_OK(Bury(dir_ / "a", dir_ / "trash"));
  ASSERT_OK(EmptyTrash(dir_ / "trash"));
  EXPECT_TRUE(fs::is_empty(dir_ / "trash"));
}

}  // namespace
}  // namespace bulwark::volumes
