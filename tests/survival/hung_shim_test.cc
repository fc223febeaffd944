// A shim that does nothing any more, as SIGSTOP makes it. Needs root and
// busybox-static.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/record.h"
#include "engine/local/testing/local_world.h"

namespace bulwark::engine {
namespace {

using testing::LocalWorld;

const EventSink kNoSink = [](absl::string_view) {};
constexpr int kContainers = 20;
// The design's two seconds, and what this machine needs for the rest.
constexpr absl::Duration kBudget = absl::Seconds(3);

class HungShimTest : public ::testing::Test {
 protected:
  void StartAll(const std::string& script) {
    for (int i = 0; i < kContainers; ++i) {
      absl::StatusOr<ContainerInfo> info =
          world_.engine().Start(world_.Shell(Id(i), script));
      ASSERT_OK(info);
      pids_[Id(i)] = info->pid;
    }
  }
  static std::string Id(int i) { return absl::StrCat("c", i); }
  int Shim(const std::string& id) {
    absl::StatusOr<StateRecord> state =
        ReadState({world_.config().runtime_dir + "/containers/" + id, ""});
    EXPECT_OK(state);
    return state.ok() ? state->shim.pid : 0;
  }
  // How long the daemon of the next start is kept.
  absl::Duration Restart() {
    world_.Close();
    const absl::Duration begin = world_.clock().Steady();
    world_.Reopen();
    EXPECT_OK(world_.engine().Recover(kNoSink));
    return world_.clock().Steady() - begin;
  }
  void ExpectAllRun() {
    for (const auto& [id, pid] : pids_) {
      ASSERT_OK_AND_ASSIGN(const ContainerInfo info,
                           world_.engine().Inspect(id));
      EXPECT_EQ(info.state, ContainerState::kRunning) << id;
      EXPECT_EQ(info.pid, pid) << id;
      EXPECT_EQ(world_.RunShell(id, "echo alive"), "alive\n") << id;
    }
  }

  LocalWorld world_;
  std::map<std::string, int> pids_;
};

TEST_F(HungShimTest, WhenOneOfTwentyHangs_TheStartTakesTwoSecondsAtMost) {
  StartAll("exec sleep 1000");
  ASSERT_EQ(kill(Shim("c7"), SIGSTOP), 0);
  const absl::Duration took = Restart();
  EXPECT_LT(took, kBudget);
  printf("start with a hung shim: %s\n", absl::FormatDuration(took).c_str());
  ExpectAllRun();
}

TEST_F(HungShimTest, WhenAllHang_TheStartTakesTwoSecondsAtMost) {
  StartAll("exec sleep 1000");
  for (int i = 0; i < kContainers; ++i) {
    ASSERT_EQ(kill(Shim(Id(i)), SIGSTOP), 0);
  }
  EXPECT_LT(Restart(), kBudget);
  ExpectAllRun();
}

// It is woken, and so nothing is lost.
TEST_F(HungShimTest, WhenItsContainerExits_TheExitIsReportedInTime) {
  ContainerSpec spec = world_.Obedient("a");
  ASSERT_OK(world_.engine().Start(spec));
  ASSERT_EQ(kill(Shim("a"), SIGSTOP), 0);
  const absl::Duration begin = world_.clock().Steady();
  world_.Command("a", "echo last words; exit 42");
  const ContainerInfo info = world_.AwaitExit("a");
  EXPECT_LT(world_.clock().Steady() - begin, kBudget);
  EXPECT_EQ(info.exit.code, 42);
  EXPECT_EQ(info.exit.unknown_reason, "");
  EXPECT_EQ(world_.Output("a"), "last words\n");
  EXPECT_OK(world_.engine().Remove("a"));
}

TEST_F(HungShimTest, WhenItsContainerIsKilled_KillReturnsInTime) {
  StartAll("exec sleep 1000");
  ASSERT_EQ(kill(Shim("c7"), SIGSTOP), 0);
  const absl::Duration begin = world_.clock().Steady();
  EXPECT_OK(world_.engine().Kill("c7"));
  EXPECT_LT(world_.clock().Steady() - begin, kBudget);
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Inspect("c7"));
  EXPECT_EQ(info.exit.code, 137);
  EXPECT_OK(world_.engine().Remove("c7"));
  pids_.erase("c7");
  ExpectAllRun();
}

// What a debugger holds does not go on with SIGCONT.
TEST_F(HungShimTest, WhenItCannotBeWoken_ItIsKilledAndTheExitIsUnknown) {
  ASSERT_OK(world_.engine().Start(world_.Obedient("a")));
  const int shim = Shim("a");
  ASSERT_EQ(ptrace(PTRACE_SEIZE, shim, 0, 0), 0);
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, shim, 0, 0), 0);
  ASSERT_EQ(waitpid(shim, nullptr, __WALL), shim);
  world_.Command("a", "exit 42");
  const ContainerInfo info = world_.AwaitExit("a");
  EXPECT_EQ(info.exit.code, 255);
  EXPECT_NE(info.exit.unknown_reason, "");
  EXPECT_OK(world_.engine().Remove("a"));
}

// Nobody reads what the container prints, until the daemon looks after it.
TEST_F(HungShimTest, WhenAContainerIsBlockedByIt_TheNextStartWakesBoth) {
  ASSERT_OK(world_.engine().Start(world_.Obedient("a")));
  ASSERT_EQ(kill(Shim("a"), SIGSTOP), 0);
  world_.Command("a", "seq 1 100000; exit 5");
  EXPECT_LT(Restart(), kBudget);
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 5);
}

}  // namespace
}  // namespace bulwark::engine
