#include "os/bare_mounts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

using ::testing::ElementsAre;

// The places of the mounts that this thread sees, in order.
std::vector<std::string> Mounts() {
  std::vector<std::string> places;
  const absl::StatusOr<std::string> text =
      ReadFile("/proc/thread-self/mountinfo", 16 << 20);
  EXPECT_OK(text);
  if (!text.ok()) return places;
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    places.push_back(fields[4]);
  }
  return places;
}

class BareMountsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeBareMounts(dir_.path());
    ASSERT_OK(made);
    bare_ = *std::move(made);
  }
  // Runs `look` in the namespace.
  void Inside(const std::function<void()>& look) {
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_FS), 0);
      ASSERT_EQ(setns(bare_.get(), CLONE_NEWNS), 0);
      look();
    }).join();
  }

  testing::TempDir dir_;
  UniqueFd bare_;
};

TEST_F(BareMountsTest, WhenMade_HasItsOwnMountsAlone) {
  std::vector<std::string> seen;
  Inside([&] { seen = Mounts(); });
  EXPECT_THAT(seen, ElementsAre("/", "/proc", "/sys"));
}

TEST_F(BareMountsTest, WhenMade_TheHostSeesNothingOfIt) {
  const std::vector<std::string> before = Mounts();
  auto another = MakeBareMounts(dir_.path());
  ASSERT_OK(another);
  EXPECT_EQ(Mounts(), before);
  EXPECT_NE(access((dir_ / "proc").c_str(), F_OK), 0);
}

TEST_F(BareMountsTest, WhenMade_HasWhatContainersNeedAndNobodyCanWrite) {
  Inside([] {
    struct stat null;
    ASSERT_EQ(stat("/dev/null", &null), 0);
    EXPECT_TRUE(S_ISCHR(null.st_mode));
    EXPECT_EQ(null.st_rdev, makedev(1, 3));
    EXPECT_EQ(null.st_mode & 0777, 0666u);
    UniqueFd opened(open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(opened.ok());
    struct stat stage;
    ASSERT_EQ(stat(kBareStage, &stage), 0);
    EXPECT_TRUE(S_ISDIR(stage.st_mode));
    EXPECT_NE(mkdir("/stage/new", 0755), 0);
    EXPECT_EQ(errno, EROFS);
  });
}

TEST(MakeBareMountsTest, WhenDirectoryIsMissing_SaysWhich) {
  EXPECT_THAT(MakeBareMounts("/no/such/place").status(),
              testing::StatusIs(absl::StatusCode::kNotFound,
                                ::testing::HasSubstr("/no/such/place")));
}

}  // namespace
}  // namespace bulwark::os
