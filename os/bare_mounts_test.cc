#include "os/bare_mounts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
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

TEST_F(BareMountsTest, WhenTheHostsMountsAreShared_TheHostSeesNothingOfIt) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
    const std::vector<std::string> before = Mounts();
    EXPECT_OK(MakeBareMounts(dir_.path()));
    EXPECT_EQ(Mounts(), before);
    EXPECT_NE(access((dir_ / "proc").c_str(), F_OK), 0);
  }).join();
}

TEST_F(BareMountsTest, WhenTheUmaskIsStrict_OthersCanLookInAllTheSame) {
  const mode_t before = umask(0077);
  auto made = MakeBareMounts(dir_.path());
  EXPECT_EQ(umask(before), mode_t{0077});
  ASSERT_OK(made);
  bare_ = *std::move(made);
  Inside([] {
    for (const char* path : {"/", "/dev", kBareStage}) {
      struct stat st = {};
      ASSERT_EQ(stat(path, &st), 0) << path;
      EXPECT_EQ(st.st_mode & 0777, 0755u) << path;
    }
  });
}

TEST_F(BareMountsTest, WhenAPartOfProcIsHidden_IsNotMade) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("/dev/null", "/proc/kallsyms", nullptr, MS_BIND, nullptr),
              0);
    EXPECT_THAT(MakeBareMounts(dir_.path()).status(),
                testing::StatusIs(absl::StatusCode::kFailedPrecondition,
                                  ::testing::HasSubstr("/proc/kallsyms")));
  }).join();
}

TEST_F(BareMountsTest, WhenMade_HasWhatContainersNeedAndItsRootIsReadOnly) {
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

TEST(HiddenPartTest, WhenTheKernelsOwn_HidesNothing) {
  EXPECT_EQ(
      HiddenPart("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                 "23 22 0:21 / /proc rw,nosuid shared:2 - proc proc rw\n"
                 "24 23 0:33 / /proc/sys/fs/binfmt_misc rw - autofs s rw\n"
                 "25 22 0:22 / /sys rw,nosuid - sysfs sysfs rw\n"
                 "26 25 0:24 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro\n"
                 "27 26 0:30 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw\n"
                 "28 22 0:50 / /procession rw - tmpfs tmpfs rw\n"),
      "");
}

TEST(HiddenPartTest, WhenSomebodyHidesAPart_SaysWhere) {
  const std::string proc = "23 22 0:21 / /proc rw - proc proc rw\n";
  EXPECT_EQ(HiddenPart(proc + "9 23 0:5 /null /proc/kcore rw - devtmpfs d rw"),
            "/proc/kcore");
  EXPECT_EQ(HiddenPart(proc + "9 23 0:21 /sys /proc/sys ro - proc proc rw"),
            "/proc/sys");
  EXPECT_EQ(HiddenPart("9 22 0:22 / /sys ro,nosuid shared:7 - sysfs s ro"),
            "/sys");
  EXPECT_EQ(HiddenPart("9 22 0:22 /fs /sys rw - sysfs sysfs rw"), "/sys");
  EXPECT_EQ(HiddenPart("9 22 0:9 / /sys/firmware ro - tmpfs tmpfs ro"),
            "/sys/firmware");
}

TEST(MakeBareMountsTest, WhenDirectoryIsMissing_SaysWhich) {
  EXPECT_THAT(MakeBareMounts("/no/such/place").status(),
              testing::StatusIs(absl::StatusCode::kNotFound,
                                ::testing::HasSubstr("/no/such/place")));
}

}  // namespace
}  // namespace bulwark::os
