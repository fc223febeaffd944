#include "scheduler/replica/hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"

namespace bulwark::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;
using State = HookRunner::State;

class HookRunnerTest : public ::testing::Test {
 protected:
  HookRunnerTest() {
    engine::ContainerSpec spec;
    spec.id = "a";
    spec.args = {"/app"};
    EXPECT_OK(engine_.Start(spec));
  }

  // Runs the hook to its end.
  void Run(HookRunner& hooks, absl::Notification& over) {
    hooks.Begin("a", {"/bin/hook", "x"}, absl::Seconds(20));
    EXPECT_TRUE(over.WaitForNotificationWithTimeout(absl::Seconds(20)));
    EXPECT_EQ(hooks.StateOf("a"), State::kOver);
  }

  RealClock clock_;
  engine::FakeEngine engine_{clock_};
};

TEST_F(HookRunnerTest, WhenItSucceeds_SaysThatItIsOver) {
  std::vector<std::string> ran;
  engine_.SetExecHandler(
      [&](absl::string_view id, const engine::ExecSpec& spec) {
        ran = spec.args;
        return engine::FakeExecResult{"done", "", 0};
      });
  absl::Notification over;
  HookRunner hooks(engine_, clock_, [&](const std::string& id) {
    EXPECT_EQ(id, "a");
    over.Notify();
  });
  EXPECT_EQ(hooks.StateOf("a"), State::kNone);
  Run(hooks, over);
  EXPECT_THAT(ran, ::testing::ElementsAre("/bin/hook", "x"));
  EXPECT_EQ(hooks.TakeFailure("a"), std::nullopt);
  hooks.Forget("a");
  EXPECT_EQ(hooks.StateOf("a"), State::kNone);
}

TEST_F(HookRunnerTest, WhenItFails_TellsWhyOnce) {
  engine_.SetExecHandler([](absl::string_view, const engine::ExecSpec&) {
    return engine::FakeExecResult{"", "no\tpeer\n", 3};
  });
  absl::Notification over;
  HookRunner hooks(engine_, clock_, [&](const std::string&) { over.Notify(); });
  Run(hooks, over);
  EXPECT_THAT(hooks.TakeFailure("a"),
              Optional(std::string("exited with status 3: no peer")));
  EXPECT_EQ(hooks.TakeFailure("a"), std::nullopt);
}

TEST_F(HookRunnerTest, WhenTheContainerIsGone_FailsAtOnce) {
  ASSERT_OK(engine_.Exit("a", 0));
  absl::Notification over;
  HookRunner hooks(engine_, clock_, [&](const std::string&) { over.Notify(); });
  Run(hooks, over);
  EXPECT_THAT(hooks.TakeFailure("a"), Optional(HasSubstr("it has exited")));
}

TEST_F(HookRunnerTest, WhenTheContainerIsPaused_ItGoesOnFirst) {
  ASSERT_OK(engine_.SetPaused("a", true));
  absl::Notification over;
  HookRunner hooks(engine_, clock_, [&](const std::string&) { over.Notify(); });
  Run(hooks, over);
  EXPECT_EQ(hooks.TakeFailure("a"), std::nullopt);
  EXPECT_FALSE(engine_.Inspect("a")->paused);
  EXPECT_THAT(engine_.SignalsOf("a"), ::testing::ElementsAre(SIGCONT));
}

TEST_F(HookRunnerTest, WhenStopped_NothingRunsOn) {
  std::atomic<int> over{0};
  {
    HookRunner hooks(engine_, clock_, [&](const std::string&) { ++over; });
    hooks.Begin("a", {"/bin/hook"}, absl::Seconds(20));
    hooks.Begin("a", {"/bin/hook"}, absl::Seconds(20));
  }
  EXPECT_EQ(over, 1);
}

}  // namespace
}  // namespace bulwark::scheduler
