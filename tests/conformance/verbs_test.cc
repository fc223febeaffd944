// What runtimes' callers rely on beside the specification's operations, as runc
// and crun have it: exec, ps, events, features, spec, and flags of create.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/unique_fd.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CONFORMANCE_SUITE(ExecTest);
CONFORMANCE_SUITE(VerbsTest);

constexpr char kForever[] = "echo up; exec sleep 1000";

TEST_P(ExecTest, WhenRun_ThenItsOutputAndStatusAreTheProgrammes) {
  StartScript(kForever);
  const Outcome outcome =
      container().Exec({"/bin/sh", "-c", "echo out; echo err >&2; exit 42"});
  EXPECT_EQ(outcome.code, 42);
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
}

TEST_P(ExecTest, WhenRun_ThenItIsInTheContainersNamespacesAndGroup) {
  StartScript(kForever);
  const Outcome outcome = container().Exec(
      {"/bin/sh", "-c",
       "for n in mnt pid net ipc uts cgroup; do"
       " [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] ||"
       " echo other $n; done; hostname;"
       " cut -d: -f3 /proc/self/cgroup | grep -v '^/$' | head -1"});
  EXPECT_THAT(outcome, Prints("conformance"));
}

TEST_P(ExecTest, WhenFlagsAreGiven_ThenTheProcessIsSo) {
  StartScript(kForever);
  EXPECT_THAT(container().Exec(
                  {"/bin/sh", "-c", "id -u; id -g; pwd; echo $A"},
                  {"--user", "1000:1001", "--cwd", "/tmp", "--env", "A=value"}),
              Prints("1000\n1001\n/tmp\nvalue"));
}

TEST_P(ExecTest, WhenAFileSaysWhat_ThenThatIsRun) {
  StartScript(kForever);
  const Json process = {{"args",
                         {"/bin/sh", "-c",
                          "id -u; id -g; pwd; echo $A;"
                          "grep -E 'CapEff|NoNew' /proc/self/status"}},
                        {"cwd", "/etc"},
                        {"env", {"PATH=/bin", "A=b"}},
                        {"user", {{"uid", 5}, {"gid", 6}}},
                        {"noNewPrivileges", true},
                        {"capabilities", Json::object()}};
  WriteFile(scratch() + "/process.json", process.dump());
  EXPECT_THAT(
      container().Call(
          {"exec", "--process", scratch() + "/process.json", container().id()}),
      Prints("5\n6\n/etc\nb\nCapEff:\t0000000000000000\nNoNewPrivs:\t1"));
}

TEST_P(ExecTest, WhenNothingIsSaid_ThenItHasTheContainersCapabilities) {
  const Json names = {"CAP_KILL"};
  bundle().process()["capabilities"] = {
      {"bounding", names}, {"effective", names}, {"permitted", names}};
  StartScript(kForever);
  EXPECT_THAT(container().Exec({"/bin/grep", "CapBnd", "/proc/self/status"}),
              Prints("CapBnd:\t0000000000000020"));
}

TEST_P(ExecTest, WhenDetached_ThenItRunsOnAndItsPidIsWritten) {
  StartScript(kForever);
  const std::string pid_file = scratch() + "/pid";
  ASSERT_THAT(container().Exec({"/bin/sleep", "1000"},
                               {"--detach", "--pid-file", pid_file}),
              Succeeds());
  const std::string pid = ReadFile(pid_file);
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(ReadFile("/proc/" + pid + "/cmdline"), "sleep");
  }));
}

TEST_P(ExecTest, WhenTheProgramIsMissing_ThenItFails) {
  StartScript(kForever);
  EXPECT_THAT(container().Exec({"/bin/no-such"}), IsRefused());
  EXPECT_EQ(container().Status(), "running");
}

TEST_P(ExecTest, WhenTheDirectoryIsMissing_ThenItFailsAndNoneIsMade) {
  StartScript(kForever);
  const Outcome outcome =
      container().Exec({"/bin/true"}, {"--cwd", "/typo/dir"});
  EXPECT_THAT(outcome, IsRefused());
  EXPECT_EQ(outcome.code, 255);  // callers go by the words
  EXPECT_THAT(outcome.err, HasSubstr("/typo/dir"));
  EXPECT_THAT(absl::AsciiStrToLower(outcome.err),
              HasSubstr("no such file or directory"));
  EXPECT_NE(access((bundle().rootfs() + "/typo").c_str(), F_OK), 0);
}

TEST_P(ExecTest, WhenStoppedOrUnknown_ThenItFails) {
  EXPECT_THAT(container().Call({"exec", "unknown", "true"}), IsRefused());
  StartScript("exit 0");
  EXPECT_EQ(container().AwaitExit(), 0);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(container().Exec({"/bin/true"}), IsRefused());
}

TEST_P(VerbsTest, WhenAskedForProcesses_ThenTheyAreTheContainers) {
  StartScript("sleep 1000 & echo up; exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const Outcome outcome =
      container().Call({"ps", "--format", "json", container().id()});
  ASSERT_THAT(outcome, Succeeds());
  const Json pids = Json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(pids.is_array()) << outcome.out;
  EXPECT_EQ(pids.size(), 2u);
  EXPECT_EQ(std::count(pids.begin(), pids.end(), Json(container().Pid())), 1);
}

TEST_P(VerbsTest, WhenAskedForStatistics_ThenTheyAreThere) {
  StartScript(kForever);
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const Outcome outcome =
      container().Call({"events", "--stats", container().id()});
  ASSERT_THAT(outcome, Succeeds());
  const Json event = Json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(event.is_object()) << outcome.out;
  EXPECT_EQ(event.value("type", ""), "stats");
  EXPECT_EQ(event.value("id", ""), container().id());
  EXPECT_GT(event["data"]["cpu"]["usage"].value("total", 0.0), 0);
  EXPECT_GT(event["data"]["memory"]["usage"].value("usage", 0.0), 0);
  EXPECT_GE(event["data"]["pids"].value("current", 0), 1);
}

TEST_P(VerbsTest, WhenAskedForFeatures_ThenWhatItNamesIsTaken) {
  const Outcome outcome = container().Call({"features"});
  ASSERT_THAT(outcome, Succeeds());
  const Json features = Json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(features.is_object()) << outcome.out;
  for (const char* version : {"ociVersionMin", "ociVersionMax"}) {
    ASSERT_NE(features.value(version, ""), "");
    config()["ociVersion"] = features[version];
    EXPECT_THAT(container().Run(), Succeeds()) << features[version];
  }
  for (const char* hook : {"prestart", "createRuntime", "createContainer",
                           "startContainer", "poststart", "poststop"}) {
    EXPECT_EQ(std::count(features["hooks"].begin(), features["hooks"].end(),
                         Json(hook)),
              1)
        << hook;
  }
  for (const char* option : {"ro", "rbind", "rslave", "rro", "strictatime"}) {
    EXPECT_EQ(std::count(features["mountOptions"].begin(),
                         features["mountOptions"].end(), Json(option)),
              1)
        << option;
  }
  EXPECT_TRUE(features["linux"]["seccomp"].value("enabled", false));
}

TEST_P(VerbsTest, WhenAskedForAConfiguration_ThenItRuns) {
  ExecOptions options;
  options.cwd = bundle().path();
  ASSERT_THAT(container().Call({"spec"}, options), Succeeds());
  // Never over one that is there.
  EXPECT_THAT(container().Call({"spec"}, options), IsRefused());
  Json made = Json::parse(ReadFile(bundle().path() + "/config.json"));
  EXPECT_EQ(made["root"]["path"], "rootfs");
  made["process"]["terminal"] = false;
  made["process"]["args"] = {"/bin/echo", "made"};
  made["linux"]["cgroupsPath"] = container().cgroup();
  config() = made;
  EXPECT_THAT(container().Run(), Prints("made"));
}

TEST_P(VerbsTest, WhenAPidFileIsWanted_ThenTheStatesPidIsInIt) {
  const std::string pid_file = scratch() + "/pid";
  ASSERT_THAT(container().Create({"--pid-file", pid_file}), Succeeds());
  EXPECT_EQ(ReadFile(pid_file), std::to_string(container().Pid()));
}

TEST_P(VerbsTest, WhenDescriptorsArePreserved_ThenTheProgramHasThose) {
  WriteFile(scratch() + "/three", "three\n");
  WriteFile(scratch() + "/four", "four\n");
  UniqueFd three(open((scratch() + "/three").c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd four(open((scratch() + "/four").c_str(), O_RDONLY | O_CLOEXEC));
  bundle().Script("cat <&3; [ -e /proc/self/fd/4 ] || echo closed");
  ASSERT_THAT(
      container().Create({"--preserve-fds", "1"}, {three.get(), four.get()}),
      Succeeds());
  ASSERT_THAT(container().Start(), Succeeds());
  container().AwaitExit();
  EXPECT_EQ(container().Printed(), "three\nclosed\n");
}

TEST_P(VerbsTest, WhenTheVerbIsUnknownOrMissing_ThenItFailsOrHelps) {
  EXPECT_THAT(container().Call({"no-such-verb"}), IsRefused());
  EXPECT_THAT(container().Call({"--no-such-flag", "list"}), IsRefused());
}

TEST_P(VerbsTest, WhenAskedForItsVersion_ThenItSaysTheSpecifications) {
  const Outcome outcome = container().Call({"--version"});
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.out, HasSubstr("spec: 1."));
}

}  // namespace
}  // namespace bulwark::conformance
