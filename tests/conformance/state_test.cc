// runtime.md: the state of a container, and the operations state and kill.
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <regex>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

CONFORMANCE_SUITE(StateTest);
CONFORMANCE_SUITE(KillTest);

constexpr char kSemVer[] = R"(\d+\.\d+\.\d+([-+].*)?)";

void ExpectState(const Json& state, const std::string& id,
                 const std::string& status, const std::string& bundle) {
  ASSERT_TRUE(state.is_object());
  EXPECT_TRUE(
      std::regex_match(state.value("ociVersion", ""), std::regex(kSemVer)))
      << state;
  EXPECT_EQ(state.value("id", ""), id);
  EXPECT_EQ(state.value("status", ""), status);
  EXPECT_EQ(state.value("bundle", ""), bundle);
}

TEST_P(StateTest, WhenAskedAtEachStage_ThenEveryPropertyIsThere) {
  bundle().Args({"/bin/probe", "signal"});
  ASSERT_THAT(container().Create(), Succeeds());
  ExpectState(container().State(), container().id(), "created",
              bundle().path());
  const pid_t pid = container().Pid();
  EXPECT_TRUE(container().SignalProcess(0));

  ASSERT_THAT(container().Start(), Succeeds());
  ExpectState(container().State(), container().id(), "running",
              bundle().path());
  EXPECT_EQ(container().Pid(), pid);

  ASSERT_TRUE(container().AwaitPrinted("ready"));
  ASSERT_THAT(container().Kill("TERM"), Succeeds());
  EXPECT_EQ(container().AwaitExit(), SIGTERM);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  ExpectState(container().State(), container().id(), "stopped",
              bundle().path());
}

TEST_P(StateTest, WhenAnnotated_ThenTheStateSaysSo) {
  config()["annotations"] = {{"com.example.key", "value"},
                             {"com.example.empty", ""}};
  ASSERT_THAT(container().Create(), Succeeds());
  const Json state = container().State();
  ASSERT_TRUE(state.contains("annotations")) << state;
  EXPECT_EQ(state["annotations"].value("com.example.key", ""), "value");
  EXPECT_EQ(state["annotations"].value("com.example.empty", "?"), "");
}

TEST_P(StateTest, WhenTheBundleIsGivenRelatively_ThenItsPathIsAbsolute) {
  bundle().Write();
  ExecOptions options;
  options.cwd = bundle().path() + "/..";
  options.out = options.err = scratch() + "/out";
  ASSERT_THAT(
      container().Call({"create", "--bundle", "c", container().id()}, options),
      Succeeds());
  EXPECT_EQ(container().State().value("bundle", ""), bundle().path());
  ASSERT_THAT(container().Delete({"--force"}), Succeeds());
  options.cwd = bundle().path();
  ASSERT_THAT(container().Call({"create", container().id()}, options),
              Succeeds());
  EXPECT_EQ(container().State().value("bundle", ""), bundle().path());
}

TEST_P(StateTest, WhenNoIdOrAnUnknownOneIsGiven_ThenStateFails) {
  EXPECT_THAT(container().Call({"state"}), IsRefused());
  const Outcome outcome = container().Call({"state", "unknown"});
  EXPECT_THAT(outcome, IsRefused());
  EXPECT_EQ(outcome.out, "");
}

TEST_P(StateTest, WhenTheProcessIsKilledFromOutside_ThenItIsStopped) {
  StartScript("exec sleep 1000");
  ASSERT_TRUE(container().SignalProcess(SIGKILL));
  // Even before its parent has asked for its exit status.
  EXPECT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_EQ(container().AwaitExit(), 128 + SIGKILL);
  EXPECT_EQ(container().Status(), "stopped");
}

TEST_P(StateTest, WhenTheProcessEndsByItself_ThenItIsStopped) {
  StartScript("exit 7");
  EXPECT_EQ(container().AwaitExit(), 7);
  EXPECT_TRUE(container().AwaitStatus("stopped"));
}

TEST_P(StateTest, WhenListed_ThenEachContainerIsThereWithItsStatus) {
  auto other = Another("other");
  ASSERT_THAT(other->Create(), Succeeds());
  StartScript("exec sleep 1000");
  const Outcome outcome = container().Call({"list", "--format", "json"});
  ASSERT_THAT(outcome, Succeeds());
  const Json list = Json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(list.is_array()) << outcome.out;
  ASSERT_EQ(list.size(), 2u);
  std::map<std::string, std::string> statuses;
  for (const Json& c : list) {
    statuses[c.value("id", "")] = c.value("status", "");
  }
  EXPECT_EQ(statuses[container().id()], "running");
  EXPECT_EQ(statuses[other->id()], "created");
  const Outcome quiet = container().Call({"list", "--quiet"});
  EXPECT_THAT(quiet.out, ::testing::HasSubstr(container().id() + "\n"));
  EXPECT_THAT(quiet.out, ::testing::HasSubstr(other->id() + "\n"));
}

TEST_P(KillTest, WhenNoIdOrAnUnknownOneIsGiven_ThenItFails) {
  EXPECT_THAT(container().Call({"kill"}), IsRefused());
  EXPECT_THAT(container().Call({"kill", "unknown", "TERM"}), IsRefused());
}

TEST_P(KillTest, WhenTheSignalIsNamedOrNumbered_ThenThatOneArrives) {
  const std::vector<std::pair<std::string, int>> signals = {
      {"SIGUSR1", SIGUSR1},
      {"HUP", SIGHUP},
      {"15", SIGTERM},
      {"SIGINT", SIGINT},
      {"SIGWINCH", SIGWINCH}};
  bundle().Args({"/bin/probe", "signal"});
  for (const auto& [name, number] : signals) {
    SCOPED_TRACE(name);
    ASSERT_THAT(container().Create(), Succeeds());
    ASSERT_THAT(container().Start(), Succeeds());
    // What it prints is from other rounds, too. Before it waits for signals,
    // the first process of a namespace gets none.
    const std::string waits = std::to_string(SYS_rt_sigtimedwait) + " ";
    const std::string process =
        "/proc/" + std::to_string(container().Pid()) + "/";
    ASSERT_TRUE(Eventually([&] {
      return ReadFile(process + "cmdline") ==
                 std::string("/bin/probe\0signal\0", 18) &&
             ReadFile(process + "syscall").rfind(waits, 0) == 0;
    }));
    ASSERT_THAT(container().Kill(name), Succeeds());
    EXPECT_EQ(container().AwaitExit(), number);
    ASSERT_TRUE(container().AwaitStatus("stopped"));
    ASSERT_THAT(container().Delete(), Succeeds());
  }
}

TEST_P(KillTest, WhenNoSignalIsGiven_ThenItIsTerm) {
  StartScript("exec /bin/probe signal");
  ASSERT_TRUE(container().AwaitPrinted("ready"));
  ASSERT_THAT(container().Call({"kill", container().id()}), Succeeds());
  EXPECT_EQ(container().AwaitExit(), SIGTERM);
}

TEST_P(KillTest, WhenTheSignalIsUnknown_ThenItFailsWithoutEffect) {
  StartScript("exec sleep 1000");
  for (const char* signal : {"SIGNONE", "1000", "9x"}) {
    EXPECT_THAT(container().Kill(signal), IsRefused()) << signal;
  }
  EXPECT_EQ(container().Status(), "running");
}

TEST_P(KillTest, WhenOnlyCreated_ThenTheSignalArrives) {
  ASSERT_THAT(container().Create(), Succeeds());
  ASSERT_THAT(container().Kill("KILL"), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 128 + SIGKILL);
  EXPECT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(container().Delete(), Succeeds());
}

TEST_P(KillTest, WhenStopped_ThenItFails) {
  StartScript("exit 0");
  EXPECT_EQ(container().AwaitExit(), 0);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(container().Kill("KILL"), IsRefused());
  EXPECT_EQ(container().Status(), "stopped");
}

TEST_P(KillTest, WhenAll_ThenEveryProcessOfTheContainerIsSignalled) {
  StartScript("sleep 1000 & sleep 1000 & echo up; wait");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  ASSERT_THAT(container().Call({"kill", "--all", container().id(), "KILL"}),
              Succeeds());
  EXPECT_EQ(container().AwaitExit(), 128 + SIGKILL);
}

}  // namespace
}  // namespace bulwark::conformance
