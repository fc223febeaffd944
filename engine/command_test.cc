#include "engine/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    ContainerSpec spec;
    spec.id = "a";
    spec.args = {"/app"};
    EXPECT_OK(engine_.Start(spec));
    command_.container_id = "a";
    command_.args = {"/bin/probe", "x"};
    command_.timeout = absl::Seconds(20);
  }
  void Answer(FakeExecResult result) {
    engine_.SetExecHandler(
        [this, result](absl::string_view, const ExecSpec& spec) {
          ran_ = spec.args;
          return result;
        });
  }
  absl::StatusOr<CommandEnd> Run() {
    return RunCommand(engine_, clock_, command_);
  }

  RealClock clock_;
  FakeEngine engine_{clock_};
  Command command_;
  std::vector<std::string> ran_;
};

TEST_F(CommandTest, WhenItEnds_GivesItsCodeAndTheBeginningOfItsOutput) {
  Answer({"out", "", 0});
  ASSERT_OK_AND_ASSIGN(CommandEnd end, Run());
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_EQ(end.output, "out");
  EXPECT_THAT(ran_, ElementsAre("/bin/probe", "x"));
  Answer({"", std::string(5000, 'e'), 3});
  command_.max_output = 1100;
  ASSERT_OK_AND_ASSIGN(end, Run());
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_EQ(end.output, std::string(1100, 'e'));
}

TEST_F(CommandTest, WhenItOnlyClosesItsStreams_IsKilledAtTheTimeout) {
  const auto killed = std::make_shared<std::atomic<bool>>(false);
  Answer({"said", "", 0, killed});
  command_.timeout = absl::Milliseconds(150);
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                              HasSubstr("did not end within 150ms")));
  EXPECT_TRUE(*killed);
}

TEST_F(CommandTest, WhenNobodyWantsIt_IsKilledBeforeTheTimeout) {
  const auto killed = std::make_shared<std::atomic<bool>>(false);
  Answer({"", "", 0, killed});
  command_.timeout = absl::InfiniteDuration();
  int asked = 0;
  command_.wanted = [&] { return ++asked < 4; };
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(*killed);
}

TEST_F(CommandTest, WhenTheContainerIsGone_SaysSo) {
  ASSERT_OK(engine_.Exit("a", 0));
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kFailedPrecondition,
                              HasSubstr("it has exited")));
}

}  // namespace
}  // namespace bulwark::engine
