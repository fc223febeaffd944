// No space for logs: the application goes on, and the log says what it lacks.
// Needs root and busybox-static.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LocalWorld;

constexpr int kLines = 20000;
constexpr char kMarker[] = "bulwark: could not write ";

// A world whose state is on a disk of one megabyte.
class LogDiskFullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    disk_ = world_ / "disk";
    ASSERT_EQ(mkdir(disk_.c_str(), 0700), 0);
    ASSERT_EQ(mount("survival", disk_.c_str(), "tmpfs", 0, "size=1m"), 0)
        << "needs root";
    world_.config().state_dir = disk_ + "/state";
    world_.Reopen();
    ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  }
  void TearDown() override {
    for (const ContainerInfo& info : world_.engine().List()) {
      EXPECT_OK(world_.engine().Kill(info.id));
      EXPECT_OK(world_.engine().Remove(info.id));
    }
    EXPECT_THAT(os::ListDir(disk_ + "/state/containers"),
                IsOkAndHolds(IsEmpty()));
    world_.Close();
    umount2(disk_.c_str(), MNT_DETACH);
  }

  // Leaves `free` bytes.
  void Fill(int64_t free) {
    const UniqueFd fd(open((disk_ + "/filler").c_str(),
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    while (write(fd.get(), page.data(), page.size()) > 0) {
    }
    ASSERT_EQ(errno, ENOSPC);
    struct stat st;
    ASSERT_EQ(fstat(fd.get(), &st), 0);
    ASSERT_EQ(ftruncate(fd.get(), st.st_size - free), 0);
  }
  void Empty() { ASSERT_EQ(unlink((disk_ + "/filler").c_str()), 0); }

  // Lets the container run `command` to its end; the application is never
  // blocked for what it prints.
  void RunInside(const std::string& command) {
    const std::string done = world_ / "ctl/a/done";
    world_.Command("a", command + "; touch /ctl/done");
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(20);
    while (access(done.c_str(), F_OK) != 0) {
      ASSERT_LT(world_.clock().Steady(), deadline) << "blocked: " << command;
      world_.clock().Sleep(absl::Milliseconds(2));
    }
    unlink(done.c_str());
  }
  std::string AwaitOutput(const std::string& text) {
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
    std::string output = world_.Output("a");
    while (output.find(text) == std::string::npos &&
           world_.clock().Steady() < deadline) {
      world_.clock().Sleep(absl::Milliseconds(5));
      output = world_.Output("a");
    }
    EXPECT_THAT(output, HasSubstr(text));
    return output;
  }

  LocalWorld world_;
  std::string disk_;
};

TEST_F(LogDiskFullTest, WhenNothingFits_TheLossIsCountedAndToldOnce) {
  ASSERT_OK(world_.engine().Start(world_.Obedient("a")));
  Fill(64 << 10);
  RunInside(absl::StrCat("seq 1 ", kLines));
  Empty();
  RunInside("echo after");
  const std::string output = AwaitOutput("after\n");
  int64_t lines = 0, lost = 0, markers = 0;
  for (size_t at = 0; at < output.size(); at = output.find('\n', at) + 1) {
    if (output.compare(at, sizeof(kMarker) - 1, kMarker) == 0) {
      ++markers;
      lost += std::atoll(output.c_str() + at + sizeof(kMarker) - 1);
    } else {
      ++lines;
    }
  }
  EXPECT_GT(lines, 100);
  EXPECT_GT(lost, 1000);
  EXPECT_GE(markers, 1);
  EXPECT_EQ(lines + lost, kLines + 1);
}

TEST_F(LogDiskFullTest, WhenItExitsMeanwhile_TheExitIsRecorded) {
  ASSERT_OK(world_.engine().Start(world_.Obedient("a")));
  RunInside("echo first");
  Fill(0);
  world_.Command("a", absl::StrCat("seq 1 ", kLines, "; exit 9"));
  const ContainerInfo info = world_.AwaitExit("a");
  EXPECT_EQ(info.exit.code, 9);
  EXPECT_EQ(info.exit.unknown_reason, "");
  // Known to the next daemon as well, on a disk that is still full.
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 9);
  EXPECT_THAT(world_.Output("a"), HasSubstr("first\n"));
}

TEST_F(LogDiskFullTest, WhenThereIsNoSpaceForAContainer_NothingIsLeftOfIt) {
  Fill(0);
  EXPECT_FALSE(world_.engine().Start(world_.Obedient("a")).ok());
  EXPECT_THAT(os::ListDir(disk_ + "/state/containers"),
              IsOkAndHolds(IsEmpty()));
  Empty();
  EXPECT_OK(world_.engine().Start(world_.Obedient("a")));
}

}  // namespace
}  // namespace bulwark::engine

// The small disk is mounted where nobody else sees it.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    fprintf(stderr, "cannot run: needs root\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
