// bulwarkd killed in the middle of the first launch of a service: between the
// order to the shim and each byte at a gate. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kSeconds = 7316002;

class DaemonGatesTest : public Suite,
                        public ::testing::WithParamInterface<const char*> {
 protected:
  static void SetUpTestSuite() {
    Open("gates", "tests/survival/cut_off_daemon");
    // The image is here then, and what a daemon keeps once it has started
    // something.
    ASSERT_TRUE(world().Apply(Web()).ok());
    ASSERT_TRUE(world().AwaitReady("web", 1)) << world().DaemonLog();
    Ctl({"delete", "service", "web", "--wait"});
    // A store that holds nothing would not be believed.
    ASSERT_TRUE(world().Apply(Manifest("other", "true", "replicas: 0")).ok());
  }
  static void TearDownTestSuite() { Close(); }

  static std::string Web() {
    return Manifest("web", absl::StrCat("exec sleep ", kSeconds));
  }
  static std::string Store() { return world().Path("s/store"); }
  static std::string OldStore() { return world().Path("old-store"); }

  void TearDown() override { fs::remove_all(OldStore()); }

  // Declares "web" to a daemon that dies while it starts that.
  void StartUntilKilled() {
    world().StopDaemon();
    before_ = world().LeakReport();
    fs::copy(Store(), OldStore(), fs::copy_options::recursive);
    world().Set("CUT_OFF_AT", GetParam());
    world().LaunchDaemon();
    world().AwaitDaemon();
    // It may be killed before it answers.
    world().Ctl({"apply", "-f", "-"}, absl::Seconds(60), Web());
    ASSERT_TRUE(Eventually([] { return !world().daemon_alive(); }));
    world().EndDaemon(SIGKILL);
    EXPECT_EQ(Sleepers(), 0);
    // There is something to clear away.
    EXPECT_THAT(world().LeakReport(),
                HasSubstr("\"netns\",\"id\":\"" + world().Path("r/netns/")));
    EXPECT_FALSE(fs::is_empty(world().Path("s/containers")));
  }
  static void Restart() {
    world().Set("CUT_OFF_AT", "");
    world().LaunchDaemon();
    world().AwaitDaemon();
  }
  static int Sleepers() {
    const std::string line = absl::StrCat("sleep", std::string(1, '\0'),
                                          kSeconds, std::string(1, '\0'));
    int count = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      if (ReadFile(entry.path() / "cmdline") == line) ++count;
    }
    return count;
  }

  std::string before_;  // in the kernel
};
INSTANTIATE_TEST_SUITE_P(Moments, DaemonGatesTest,
                         ::testing::Values("ordered", "grouped", "recorded"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

TEST_P(DaemonGatesTest, WhenKilledThere_TheNextStartsItOnce) {
  StartUntilKilled();
  Restart();
  ASSERT_TRUE(world().Apply(Web()).ok());
  ASSERT_TRUE(world().AwaitReady("web", 1)) << world().DaemonLog();
  EXPECT_EQ(Sleepers(), 1);
  Ctl({"delete", "service", "web", "--wait"});
  EXPECT_EQ(Sleepers(), 0);
  world().StopDaemon();
  EXPECT_EQ(world().Leaked(before_), "");
}

// As if its declaration had not come to the disk: with the store of before.
TEST_P(DaemonGatesTest, WhenNobodyWantsItAnyMore_NothingIsLeft) {
  StartUntilKilled();
  fs::remove_all(Store());
  fs::copy(OldStore(), Store(), fs::copy_options::recursive);
  Restart();
  EXPECT_FALSE(Exists("service", "web"));
  world().StopDaemon();
  EXPECT_EQ(world().Leaked(before_), "");
  EXPECT_TRUE(fs::is_empty(world().Path("s/containers")));
  EXPECT_TRUE(fs::is_empty(world().Path("r/containers")));
}

}  // namespace
}  // namespace bulwark::e2e
