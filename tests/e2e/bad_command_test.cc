// Images that are there, and commands that cannot live in them.
#include <signal.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/e2e/bad_suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class BadCommandTest : public BadSuite {
 protected:
  static void SetUpTestSuite() { OpenWithAnchor("e2ebadco"); }
  static void TearDownTestSuite() { CloseAll(); }

  // `more`: lines with the command and whatever else.
  static std::string Service(const std::string& name, const std::string& more) {
    return absl::StrCat(
        "kind: Service\nname: ", name, "\nimage: ", busybox(),
        "\nstop: {timeout: 1s}\nrollout: {minHealthyTime: "
        "300ms, progressDeadline: 3s}\n",
        absl::StrContains(more, "memory:") ? "" : "resources: {memory: 64Mi}\n",
        more, "\n---\n");
  }
  static std::string Logs(const std::string& service) {
    return world().Ctl({"logs", service}).ToString();
  }
};

struct Case {
  const char* name;
  const char* more;
  std::vector<std::string> parts;  // of the condition CrashLoop
};

const Case kLaunches[] = {
    {"nofile",
     "command: [/bin/nothing]",
     {"execute \"/bin/nothing\": no such file in the container",
      "correct command, user or workingDir"}},
    {"nopath",
     "command: [nothing]",
     {"execute \"nothing\": no such file in the container"}},
    {"noexec",
     "command: [/etc/passwd]",
     {"execute \"/etc/passwd\": Permission denied: it is not executable"}},
    {"directory", "command: [/etc]", {"execute \"/etc\": Permission denied"}},
    {"nofolder",
     "command: [sleep, '1000']\nworkingDir: /etc/passwd",
     {"change to directory /etc/passwd: Not a directory",
      "correct command, user or workingDir"}},
    {"nobind",
     "command: [sleep, '1000']\nvolumes: ['/nothing/there:/data']",
     {"bind /nothing/there of the host: No such file or directory; make that "
      "path, or correct volumes"}},
    {"nouser",
     "command: [sleep, '1000']\nuser: nobodyhere",
     {"find user \"nobodyhere\": no such user or group in the image",
      "correct command, user or workingDir"}},
    {"nogroup",
     "command: [sleep, '1000']\nuser: 'app:nogroup'",
     {"find user \"app:nogroup\": no such user or group in the image"}},
};

TEST_F(BadCommandTest, WhenACommandCannotStart_SaysWhyAndMendingItHelps) {
  std::string bad, good;
  std::vector<std::string> names;
  for (const Case& c : kLaunches) {
    names.push_back(c.name);
    bad += Service(c.name, c.more);
    good += Service(c.name, "command: [sleep, '1000']");
  }
  ASSERT_TRUE(world().Apply(bad).ok());
  for (const Case& c : kLaunches) {
    EXPECT_EQ(AwaitCondition(world(), c.name, "CrashLoop", "TRUE", c.parts),
              "");
    EXPECT_THAT(Describe(world(), c.name),
                AllOf(HasSubstr("LaunchFailed"), HasSubstr(c.parts[0])));
  }
  ASSERT_TRUE(world().Apply(good).ok());
  for (const std::string& name : names) {
    EXPECT_TRUE(world().AwaitReady(name, 1, absl::Seconds(20)))
        << Describe(world(), name);
  }
  Delete(names);
}

// As Docker does.
TEST_F(BadCommandTest, WhenTheWorkingDirectoryIsMissing_ItIsMade) {
  ASSERT_TRUE(world()
                  .Apply(Service("folder",
                                 "command: [sh, -c, 'pwd; sleep 1000']\n"
                                 "workingDir: /no/such/folder"))
                  .ok());
  EXPECT_TRUE(world().AwaitReady("folder", 1)) << Describe(world(), "folder");
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(Logs("folder"), "/no/such/folder");
  })) << Logs("folder");
  Delete({"folder"});
}

TEST_F(BadCommandTest, WhenItExitsAtOnce_TheLoopHasCodeAndLastLines) {
  ASSERT_TRUE(
      world()
          .Apply(Service("loop",
                         "command: [sh, -c, 'echo cannot open the config; echo "
                         "giving up >&2; exit 3']"))
          .ok());
  EXPECT_EQ(AwaitCondition(world(), "loop", "CrashLoop", "TRUE",
                           {"exited with status 3", "last log lines: ",
                            "cannot open the config", "giving up"}),
            "");
  EXPECT_THAT(Describe(world(), "loop"),
              AllOf(HasSubstr("CrashLoop"), HasSubstr("exited with status 3")));
  EXPECT_THAT(Logs("loop"), HasSubstr("giving up"));
  Delete({"loop"});
}

TEST_F(BadCommandTest, WhenItListensNowhere_SaysWhatTheProbeMet) {
  ASSERT_TRUE(world()
                  .Apply(Service("deaf",
                                 "command: [sleep, '1000']\n"
                                 "ports: ['8091:80']\n"
                                 "health: {tcp: ':80', period: 200ms}"))
                  .ok());
  EXPECT_EQ(AwaitCondition(world(), "deaf", "Available", "FALSE",
                           {"0 of 1", "refused"}),
            "");
  EXPECT_EQ(AwaitCondition(world(), "deaf", "Progressing", "FALSE",
                           {"ProgressDeadlineExceeded", "refused"}),
            "");
  Delete({"deaf"});
}

// What a probe prints goes into records. One that was no text once hid every
// replica.
TEST_F(BadCommandTest, WhenAProbePrintsNoText_ItsRecordCanBeRead) {
  ASSERT_TRUE(world()
                  .Apply(Service("binary",
                                 "command: [sleep, '1000']\n"
                                 "health: {exec: [sh, -c, \"test -e /ok || { "
                                 "printf '\\\\377\\\\033[31mno'; exit 3; }\"], "
                                 "period: 200ms}"))
                  .ok());
  EXPECT_EQ(AwaitCondition(world(), "binary", "Available", "FALSE",
                           {"0 of 1", "exit status 3: ??[31mno"}),
            "");
  // Not ready: its replica has to be named.
  const std::vector<ReplicaInfo> replicas = world().Replicas("binary");
  ASSERT_EQ(replicas.size(), 1u);
  EXPECT_TRUE(world().Ctl({"exec", replicas[0].name, "touch", "/ok"}).ok());
  EXPECT_TRUE(world().AwaitReady("binary", 1)) << Describe(world(), "binary");
  EXPECT_TRUE(world().Ctl({"exec", replicas[0].name, "rm", "/ok"}).ok());
  EXPECT_TRUE(world().AwaitReady("binary", 0)) << Describe(world(), "binary");
  Delete({"binary"});
}

TEST_F(BadCommandTest, WhenAnUpdateCrashes_ItRollsBackAndSaysWhy) {
  const std::string good =
      "command: [httpd, -f, -p, '80', -h, /etc]\nports: ['8092:80']\n"
      "health: {tcp: ':80', period: 200ms}\nreplicas: 2";
  ASSERT_TRUE(world().Apply(Service("up", good)).ok());
  ASSERT_TRUE(world().AwaitReady("up", 2)) << Describe(world(), "up");
  ASSERT_EQ(AwaitCondition(world(), "up", "Progressing", "FALSE", {"Complete"}),
            "");
  const std::string bad =
      absl::StrReplaceAll(good, {{"[httpd, -f, -p, '80', -h, /etc]",
                                  "[sh, -c, 'echo no such table; exit 7']"}});
  ASSERT_TRUE(world().Apply(Service("up", bad)).ok());
  EXPECT_EQ(AwaitCondition(
                world(), "up", "RolledBack", "TRUE",
                {"revision 2 failed", "exited with status 7", "no such table",
                 "revision 1 runs instead", "Apply a changed template"}),
            "");
  EXPECT_TRUE(Answers(8092));
  EXPECT_EQ(world().Ready("up").size(), 2u) << Describe(world(), "up");
  const Result status =
      world().Ctl({"rollout", "status", "up", "--timeout", "10s"});
  EXPECT_NE(status.code, 0);
  EXPECT_THAT(status.err, HasSubstr("no such table"));
  // What was good once is good again.
  ASSERT_TRUE(world().Apply(Service("up", good)).ok());
  EXPECT_TRUE(
      Eventually([] { return world().Condition("up", "RolledBack").empty(); }));
  Delete({"up"});
}

TEST_F(BadCommandTest, WhenMemoryRunsOut_IsToldFromAKill) {
  ASSERT_TRUE(
      world()
          .Apply(Service("greedy",
                         "command: [sh, -c, 'echo eating; tail /dev/zero']\n"
                         "resources: {memory: 16Mi}") +
                 Service("victim", "command: [sleep, '1000']"))
          .ok());
  EXPECT_EQ(AwaitCondition(world(), "greedy", "CrashLoop", "TRUE",
                           {"was killed: out of memory",
                            "resources.memory gives it more", "eating"}),
            "");
  EXPECT_THAT(Describe(world(), "greedy"), HasSubstr("OOMKilled"));

  ASSERT_TRUE(world().AwaitReady("victim", 1));
  const int pid = world().Ready("victim")[0].pid;
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    const std::vector<ReplicaInfo> now = world().Ready("victim");
    return now.size() == 1 && now[0].pid != pid;
  })) << Describe(world(), "victim");
  EXPECT_THAT(Describe(world(), "victim"),
              AllOf(HasSubstr("was killed by signal 9"),
                    Not(HasSubstr("out of memory"))));
  Delete({"greedy", "victim"});
}

}  // namespace
}  // namespace bulwark::e2e
