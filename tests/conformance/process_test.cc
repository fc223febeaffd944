// config.md: the process's program, directory, environment and user, and what
// of its limits and priorities.
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <regex>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CONFORMANCE_SUITE(ProcessTest);
CONFORMANCE_SUITE(UserTest);
CONFORMANCE_SUITE(RlimitTest);
CONFORMANCE_SUITE(PriorityTest);

TEST_P(ProcessTest, WhenADirectoryIsGiven_ThenTheProgramStartsThere) {
  mkdir((bundle().rootfs() + "/some where").c_str(), 0755);
  bundle().process()["cwd"] = "/some where";
  EXPECT_THAT(container().RunScript("pwd; readlink /proc/self/cwd"),
              Prints("/some where\n/some where"));
}

TEST_P(ProcessTest, WhenTheDirectoryIsMissing_ThenItIsMadeAlsoInAReadOnlyRoot) {
  for (const bool read_only : {false, true}) {
    const std::string made = read_only ? "/made/sealed" : "/made/open";
    config()["root"]["readonly"] = read_only;
    bundle().process()["cwd"] = made;
    EXPECT_THAT(container().RunScript("pwd"), Prints(made));
  }
}

TEST_P(ProcessTest, WhenTheDirectoryIsRelative_ThenCreateFails) {
  bundle().process()["cwd"] = "bin";
  ExpectCreateRefused();
}

TEST_P(ProcessTest, WhenTheDirectoryIsAFile_ThenItFails) {
  bundle().process()["cwd"] = "/etc/passwd";
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(ProcessTest, WhenArgumentsAreGiven_ThenTheyArriveUnchanged) {
  bundle().Args(
      {"/bin/printf", "[%s]", "", "a b", "$HOME", "\"'\\", "ä", "-x"});
  EXPECT_THAT(container().Run(), Prints("[][a b][$HOME][\"'\\][ä][-x]"));
}

TEST_P(ProcessTest, WhenTheProgramHasNoSlash_ThenThePathIsSearched) {
  mkdir((bundle().rootfs() + "/opt").c_str(), 0755);
  WriteFile(bundle().rootfs() + "/opt/mine", "#!/bin/sh\necho found", 0755);
  bundle().process()["env"] = {"PATH=/none:/opt:/bin"};
  bundle().Args({"mine"});
  EXPECT_THAT(container().Run(), Prints("found"));
}

TEST_P(ProcessTest, WhenThereAreNoArguments_ThenItFails) {
  bundle().process()["args"] = Json::array();
  EXPECT_THAT(container().Run(), IsRefused());
  bundle().process().erase("args");
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(ProcessTest, WhenTheProgramCannotBeExecuted_ThenItFails) {
  WriteFile(bundle().rootfs() + "/data", "text", 0644);
  for (const char* program : {"/data", "/etc", "no-such", ""}) {
    bundle().Args({program});
    EXPECT_THAT(container().Run(), IsRefused()) << program;
  }
}

TEST_P(ProcessTest, WhenTheEnvironmentIsGiven_ThenItIsThatAndNotTheRuntimes) {
  setenv("CONFORMANCE_OF_THE_HOST", "1", 1);
  bundle().process()["env"] = {"PATH=/bin", "A=first", "EMPTY=", "B=x=y z"};
  const Outcome outcome = container().RunScript("env");
  unsetenv("CONFORMANCE_OF_THE_HOST");
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.out, HasSubstr("A=first\n"));
  EXPECT_THAT(outcome.out, HasSubstr("EMPTY=\n"));
  EXPECT_THAT(outcome.out, HasSubstr("B=x=y z\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("CONFORMANCE_OF_THE_HOST")));
}

TEST_P(ProcessTest, WhenNewPrivilegesAreForbidden_ThenTheKernelSaysSo) {
  const char* script = "grep NoNewPrivs /proc/self/status";
  bundle().process()["noNewPrivileges"] = true;
  EXPECT_THAT(container().RunScript(script), Prints("NoNewPrivs:\t1"));
  bundle().process()["noNewPrivileges"] = false;
  EXPECT_THAT(container().RunScript(script), Prints("NoNewPrivs:\t0"));
}

TEST_P(ProcessTest, WhenNothingElseIsSaid_ThenOnlyTheStreamsAreOpen) {
  // `ls` itself opens the directory.
  EXPECT_THAT(container().RunScript("exec ls /proc/self/fd"),
              Prints("0\n1\n2\n3"));
}

TEST_P(ProcessTest, WhenTheAppArmorProfileIsNotThere_ThenItFails) {
  bundle().process()["apparmorProfile"] = "conformance-not-there";
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(ProcessTest, WhenAnAppArmorProfileIsGiven_ThenTheProgramIsUnderIt) {
  const std::string loaded = ReadFile("/sys/kernel/security/apparmor/profiles");
  if (loaded.find("bulwark-conformance (enforce)") == std::string::npos) {
    GTEST_SKIP() << "AppArmor is off, or profile.apparmor is not loaded";
  }
  bundle().process()["apparmorProfile"] = "bulwark-conformance";
  EXPECT_THAT(container().RunScript("cat /proc/self/attr/current; "
                                    "cat /etc/group | head -n 1; "
                                    "cat /etc/passwd 2>/dev/null || echo no"),
              Prints("bulwark-conformance (enforce)\nroot:x:0:\nno"));
}

constexpr char kIds[] =
    "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr '\\t' ' '";

TEST_P(UserTest, WhenIdsAreGiven_ThenTheProcessHasThem) {
  bundle().process()["user"] = {
      {"uid", 1000}, {"gid", 1001}, {"additionalGids", {5, 6}}};
  const Outcome outcome = container().RunScript(kIds);
  EXPECT_THAT(outcome.out, HasSubstr("Uid: 1000 1000 1000 1000\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Gid: 1001 1001 1001 1001\n"));
  EXPECT_TRUE(
      std::regex_search(outcome.out, std::regex("Groups: (1001 )?5 6 ?\n|"
                                                "Groups: 5 6 (1001 )?\n")))
      << outcome.out;
}

TEST_P(UserTest, WhenNoGroupsAreGiven_ThenItHasNoneOfTheRuntimes) {
  bundle().process()["user"] = {{"uid", 1000}, {"gid", 1001}};
  const Outcome outcome = container().RunScript(kIds);
  EXPECT_TRUE(
      std::regex_search(outcome.out, std::regex("Groups: *(1001 *)?\n")))
      << outcome.out;
}

TEST_P(UserTest, WhenTheIdIsLarge_ThenItIsTaken) {
  bundle().process()["user"] = {{"uid", 2147483647}, {"gid", 2147483647}};
  EXPECT_THAT(container().RunScript(kIds).out,
              HasSubstr("Uid: 2147483647 2147483647"));
}

TEST_P(UserTest, WhenAUmaskIsGiven_ThenTheProcessHasIt) {
  bundle().Args({"/bin/probe", "umask"});
  for (const int mask : {0, 027, 0777}) {
    bundle().process()["user"]["umask"] = mask;
    char text[8];
    snprintf(text, sizeof(text), "%03o", mask);
    EXPECT_THAT(container().Run(), Prints(text));
  }
}

TEST_P(RlimitTest, WhenLimitsAreGiven_ThenTheProcessHasThem) {
  struct Limit {
    const char* type;
    const char* name;  // in /proc/self/limits
    uint64_t soft, hard;
  };
  // Within what root has here: some kernels' hosts let it raise none of these.
  const std::vector<Limit> limits = {
      {"RLIMIT_CPU", "Max cpu time", 500, 600},
      {"RLIMIT_FSIZE", "Max file size", 1 << 20, 1 << 21},
      {"RLIMIT_DATA", "Max data size", 1 << 28, 1 << 29},
      {"RLIMIT_STACK", "Max stack size", 1 << 22, 1 << 23},
      {"RLIMIT_CORE", "Max core file size", 0, 4096},
      {"RLIMIT_RSS", "Max resident set", 1 << 28, 1 << 29},
      {"RLIMIT_NPROC", "Max processes", 500, 501},
      {"RLIMIT_NOFILE", "Max open files", 100, 200},
      {"RLIMIT_MEMLOCK", "Max locked memory", 4096, 8192},
      {"RLIMIT_AS", "Max address space", 1 << 29, 1 << 30},
      {"RLIMIT_LOCKS", "Max file locks", 20, 30},
      {"RLIMIT_SIGPENDING", "Max pending signals", 40, 50},
      {"RLIMIT_MSGQUEUE", "Max msgqueue size", 8192, 16384},
      {"RLIMIT_NICE", "Max nice priority", 0, 0},
      {"RLIMIT_RTPRIO", "Max realtime priority", 0, 0},
      {"RLIMIT_RTTIME", "Max realtime timeout", 1000, 2000}};
  for (const Limit& l : limits) {
    bundle().process()["rlimits"].push_back(
        {{"type", l.type}, {"soft", l.soft}, {"hard", l.hard}});
  }
  const Outcome outcome = container().RunScript("cat /proc/self/limits");
  ASSERT_THAT(outcome, Succeeds());
  for (const Limit& l : limits) {
    const std::string line = std::string(l.name) + " +" +
                             std::to_string(l.soft) + " +" +
                             std::to_string(l.hard) + " ";
    EXPECT_TRUE(std::regex_search(outcome.out, std::regex(line)))
        << line << "\n"
        << outcome.out;
  }
}

TEST_P(RlimitTest, WhenALimitIsTheLargestNumber_ThenItIsUnlimited) {
  bundle().process()["rlimits"] = {{{"type", "RLIMIT_CORE"},
                                    {"soft", 18446744073709551615u},
                                    {"hard", 18446744073709551615u}}};
  EXPECT_THAT(container().RunScript("ulimit -c; ulimit -Hc"),
              Prints("unlimited\nunlimited"));
}

TEST_P(RlimitTest, WhenATypeIsTwice_ThenCreateFails) {
  const Json limit = {{"type", "RLIMIT_NOFILE"}, {"soft", 10}, {"hard", 10}};
  bundle().process()["rlimits"] = {limit, limit};
  ExpectCreateRefused();
}

TEST_P(RlimitTest, WhenATypeIsUnknown_ThenCreateFails) {
  bundle().process()["rlimits"] = {
      {{"type", "RLIMIT_NONE"}, {"soft", 10}, {"hard", 10}}};
  ExpectCreateRefused();
}

TEST_P(RlimitTest, WhenTheSoftLimitIsAboveTheHardOne_ThenItFails) {
  bundle().process()["rlimits"] = {
      {{"type", "RLIMIT_NOFILE"}, {"soft", 200}, {"hard", 100}}};
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(PriorityTest, WhenAnOomScoreIsGiven_ThenTheProcessHasIt) {
  for (const int score : {100, 1000, 0}) {
    bundle().process()["oomScoreAdj"] = score;
    EXPECT_THAT(container().RunScript("cat /proc/self/oom_score_adj"),
                Prints(std::to_string(score)));
  }
}

TEST_P(PriorityTest, WhenNoOomScoreIsGiven_ThenItIsTheRuntimes) {
  WriteFile("/proc/self/oom_score_adj", "7");
  EXPECT_THAT(container().RunScript("cat /proc/self/oom_score_adj"),
              Prints("7"));
  WriteFile("/proc/self/oom_score_adj", "0");
}

TEST_P(PriorityTest, WhenASchedulerIsGiven_ThenTheProcessHasIt) {
  bundle().Args({"/bin/probe", "scheduler"});
  bundle().process()["scheduler"] = {{"policy", "SCHED_BATCH"}, {"nice", 5}};
  EXPECT_THAT(container().Run(), Prints("3 5 0 0"));
  // The kernel leaves the niceness of an idle one as it was: not ours, if the
  // suite is run by nice(1).
  ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 0), 0);
  bundle().process()["scheduler"] = {{"policy", "SCHED_IDLE"}};
  EXPECT_THAT(container().Run(), Prints("5 0 0 0"));
  bundle().process()["scheduler"] = {{"policy", "SCHED_OTHER"},
                                     {"flags", {"SCHED_FLAG_RESET_ON_FORK"}}};
  EXPECT_THAT(container().Run(), Prints("0 0 0 1"));
}

TEST_P(PriorityTest, WhenTheSchedulerIsUnknown_ThenItFails) {
  bundle().process()["scheduler"] = {{"policy", "SCHED_NONE"}};
  EXPECT_THAT(container().Run(), IsRefused());
}

TEST_P(PriorityTest, WhenAnIoPriorityIsGiven_ThenTheProcessHasIt) {
  bundle().Args({"/bin/probe", "ioprio"});
  bundle().process()["ioPriority"] = {{"class", "IOPRIO_CLASS_BE"},
                                      {"priority", 3}};
  EXPECT_THAT(container().Run(), Prints("2 3"));
  bundle().process()["ioPriority"] = {{"class", "IOPRIO_CLASS_IDLE"},
                                      {"priority", 0}};
  EXPECT_THAT(container().Run(), Prints("3 0"));
}

TEST_P(PriorityTest, WhenTheIoPriorityIsUnknown_ThenItFails) {
  bundle().process()["ioPriority"] = {{"class", "IOPRIO_CLASS_NONE_SUCH"},
                                      {"priority", 3}};
  EXPECT_THAT(container().Run(), IsRefused());
  bundle().process()["ioPriority"] = {{"class", "IOPRIO_CLASS_BE"},
                                      {"priority", 8}};
  EXPECT_THAT(container().Run(), IsRefused());
}

}  // namespace
}  // namespace bulwark::conformance
