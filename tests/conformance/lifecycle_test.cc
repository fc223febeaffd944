// runtime.md: the scope of a container, its life, and the operations create,
// start and delete.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

CONFORMANCE_SUITE(LifecycleTest);

constexpr char kForever[] = "echo up; exec sleep 1000";

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

TEST_P(LifecycleTest, WhenCreated_ThenTheProgramHasNotRun) {
  bundle().Script("echo > /ran");
  ASSERT_THAT(container().Create(), Succeeds());
  EXPECT_EQ(container().Status(), "created");
  EXPECT_FALSE(Exists(bundle().rootfs() + "/ran"));
  ASSERT_THAT(container().Start(), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 0);
  EXPECT_TRUE(Exists(bundle().rootfs() + "/ran"));
}

TEST_P(LifecycleTest, WhenConfigurationChangesAfterCreate_ThenNothingChanges) {
  bundle().Script("echo first; hostname");
  ASSERT_THAT(container().Create(), Succeeds());
  bundle().Script("echo second");
  config()["hostname"] = "changed";
  bundle().Write();
  ASSERT_THAT(container().Start(), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 0);
  EXPECT_EQ(container().Printed(), "first\nconformance\n");
}

TEST_P(LifecycleTest, WhenConfigurationIsGoneAfterCreate_ThenItStillStarts) {
  bundle().Script("echo up");
  ASSERT_THAT(container().Create(), Succeeds());
  unlink((bundle().path() + "/config.json").c_str());
  ASSERT_THAT(container().Start(), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 0);
  EXPECT_THAT(container().Delete(), Succeeds());
}

TEST_P(LifecycleTest, WhenCreateHasNoIdOrNoBundle_ThenItFails) {
  bundle().Write();
  EXPECT_THAT(container().Call({"create", "--bundle", bundle().path()}),
              IsRefused());
  EXPECT_THAT(
      container().Call({"create", "--bundle", scratch() + "/none", "some"}),
      IsRefused());
  // Without --bundle it is the current directory, which has none.
  ExecOptions options;
  options.cwd = scratch();
  EXPECT_THAT(container().Call({"create", "some"}, options), IsRefused());
  EXPECT_THAT(container().Call({"state", "some"}), IsRefused());
}

TEST_P(LifecycleTest, WhenTheIdIsTaken_ThenCreateFailsAndTheOtherLivesOn) {
  StartScript(kForever);
  auto other = Another("other");
  other->bundle().Write();
  EXPECT_THAT(container().Call({"create", "--bundle", other->bundle().path(),
                                container().id()}),
              IsRefused());
  EXPECT_EQ(container().Status(), "running");
  const Json state = container().State();
  EXPECT_THAT(state.value("bundle", ""), HasSubstr(bundle().path()));
}

TEST_P(LifecycleTest, WhenTheIdIsNotValid_ThenCreateFails) {
  bundle().Write();
  for (const char* id : {"", ".", "..", "a/b", "../escaped"}) {
    EXPECT_THAT(container().Call({"create", "--bundle", bundle().path(), id}),
                IsRefused())
        << "id: " << id;
  }
  EXPECT_TRUE(std::filesystem::is_empty(root()));
  EXPECT_FALSE(Exists(root() + "/../escaped"));
}

TEST_P(LifecycleTest, WhenTheIdIsAnAbsolutePath_ThenThatPathIsLeftAlone) {
  const std::string victim = scratch() + "/victim";
  ASSERT_EQ(mkdir(victim.c_str(), 0755), 0);
  WriteFile(victim + "/file", "kept");
  bundle().Write();
  EXPECT_THAT(container().Call({"create", "--bundle", bundle().path(), victim}),
              IsRefused());
  for (const char* verb : {"state", "start", "kill", "delete"}) {
    EXPECT_THAT(container().Call({verb, victim}), IsRefused()) << verb;
  }
  EXPECT_EQ(ReadFile(victim + "/file"), "kept");
}

TEST_P(LifecycleTest, WhenTheEnvironmentCannotBeMade_ThenNothingIsLeft) {
  bundle().AddMount("/data", "no-such-type", "none", {});
  ExpectCreateRefused();
}

TEST_P(LifecycleTest, WhenTheProgramIsMissing_ThenItFailsAndNothingIsLeft) {
  bundle().Args({"/bin/no-such-program"});
  const Outcome outcome = container().Run();
  EXPECT_THAT(outcome, IsRefused());
  EXPECT_EQ(container().State(), Json::object());
}

TEST_P(LifecycleTest, WhenThereIsNoProcess_ThenStartFails) {
  config().erase("process");
  if (container().Create().ok()) {
    EXPECT_THAT(container().Start(), IsRefused());
  }
}

TEST_P(LifecycleTest, WhenStartHasNoIdOrAnUnknownOne_ThenItFails) {
  EXPECT_THAT(container().Call({"start"}), IsRefused());
  EXPECT_THAT(container().Call({"start", "unknown"}), IsRefused());
}

TEST_P(LifecycleTest, WhenStartedTwice_ThenTheSecondFailsWithoutEffect) {
  StartScript(kForever);
  const pid_t pid = container().Pid();
  EXPECT_THAT(container().Start(), IsRefused());
  EXPECT_EQ(container().Status(), "running");
  EXPECT_EQ(container().Pid(), pid);
  ASSERT_TRUE(container().AwaitPrinted("up"));
  EXPECT_EQ(container().Printed().find("up"),
            container().Printed().rfind("up"));
}

TEST_P(LifecycleTest, WhenStopped_ThenStartFails) {
  StartScript("exit 0");
  EXPECT_EQ(container().AwaitExit(), 0);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(container().Start(), IsRefused());
  EXPECT_EQ(container().Status(), "stopped");
}

TEST_P(LifecycleTest, WhenDeleteHasNoIdOrAnUnknownOne_ThenItFails) {
  EXPECT_THAT(container().Call({"delete"}), IsRefused());
  EXPECT_THAT(container().Call({"delete", "unknown"}), IsRefused());
}

TEST_P(LifecycleTest, WhenRunning_ThenDeleteFailsWithoutEffect) {
  StartScript(kForever);
  EXPECT_THAT(container().Delete(), IsRefused());
  EXPECT_EQ(container().Status(), "running");
  EXPECT_TRUE(container().SignalProcess(0));
}

TEST_P(LifecycleTest, WhenOnlyCreated_ThenDeleteFailsWithoutEffect) {
  ASSERT_THAT(container().Create(), Succeeds());
  EXPECT_THAT(container().Delete(), IsRefused());
  EXPECT_EQ(container().Status(), "created");
}

TEST_P(LifecycleTest, WhenDeletedByForce_ThenARunningOneIsGone) {
  StartScript(kForever);
  EXPECT_THAT(container().Delete({"--force"}), Succeeds());
  EXPECT_EQ(container().AwaitExit(), 128 + SIGKILL);
  EXPECT_EQ(container().State(), Json::object());
}

TEST_P(LifecycleTest, WhenDeleted_ThenItsResourcesAreGoneAndTheIdIsFree) {
  for (int i = 0; i < 2; ++i) {
    StartScript("exit 0");
    EXPECT_FALSE(Workspace::CgroupsLeft().empty());
    EXPECT_EQ(container().AwaitExit(), 0);
    ASSERT_TRUE(container().AwaitStatus("stopped"));
    ASSERT_THAT(container().Delete(), Succeeds());
    EXPECT_EQ(container().State(), Json::object());
    EXPECT_TRUE(Eventually([] { return Workspace::CgroupsLeft().empty(); }));
    EXPECT_THAT(container().Delete(), IsRefused());
  }
}

// Not of the specification: docs/oci.md promises it.
TEST_P(LifecycleTest, WhenKilledInTheMiddleOfCreate_ThenDeleteTakesAllAway) {
  if (GetParam().name != "bulwark-oci") {
    GTEST_SKIP() << "the others leave the hook and the groups, for every test "
                    "after this";
  }
  bundle().Script(kForever);
  bundle().AddHook("createRuntime", "kill -9 $PPID; exec sleep 1000");
  bundle().Write();
  EXPECT_EQ(container()
                .Call({"create", "--bundle", bundle().path(), container().id()})
                .code,
            128 + SIGKILL);
  EXPECT_NE(container().Status(), "running");
  EXPECT_THAT(container().Delete({"--force"}), Succeeds());
  EXPECT_EQ(container().State(), Json::object());
  EXPECT_TRUE(Eventually([] { return Workspace::CgroupsLeft().empty(); }));
}

TEST_P(LifecycleTest, WhenDeleted_ThenWhatItDidNotMakeStays) {
  const std::string source = scratch() + "/data";
  ASSERT_EQ(mkdir(source.c_str(), 0755), 0);
  WriteFile(source + "/file", "kept");
  bundle().AddMount("/data", "bind", source, {"rbind"});
  auto other = Another("other");
  other->bundle().Script(kForever);
  ASSERT_THAT(other->Create(), Succeeds());
  ASSERT_THAT(other->Start(), Succeeds());

  ASSERT_THAT(container().Run(), Succeeds());

  EXPECT_EQ(ReadFile(source + "/file"), "kept");
  EXPECT_TRUE(Exists(bundle().path() + "/config.json"));
  EXPECT_TRUE(Exists(bundle().rootfs() + "/bin/busybox"));
  EXPECT_EQ(other->Status(), "running");
  EXPECT_TRUE(other->SignalProcess(0));
}

TEST_P(LifecycleTest, WhenRun_ThenItsExitStatusIsTheProgramsAndAllIsGone) {
  EXPECT_EQ(container().RunScript("echo out; echo err >&2; exit 42").code, 42);
  EXPECT_EQ(container().State(), Json::object());
  const Outcome outcome = container().RunScript("echo out; echo err >&2");
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(container().RunScript("/bin/sh -c 'kill -9 $$'; exit $?").code,
            128 + SIGKILL);
}

TEST_P(LifecycleTest, WhenRunDetached_ThenItReturnsAtOnce) {
  bundle().Args({"/bin/sleep", "1000"});
  bundle().Write();
  const std::string pid_file = scratch() + "/pid";
  EXPECT_THAT(container().Run({"--detach", "--pid-file", pid_file}),
              Succeeds());
  EXPECT_EQ(container().Status(), "running");
  EXPECT_EQ(ReadFile(pid_file), std::to_string(container().Pid()));
}

}  // namespace
}  // namespace bulwark::conformance
