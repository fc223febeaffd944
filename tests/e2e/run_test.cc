// ctl run: one container, in the foreground and detached.

#include <signal.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPort = 8090;

class RunTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2erun");
    nginx_ = world().PushNginx("1", "v1");
  }
  static void TearDownTestSuite() { Close(); }

  void SetUp() override {
    Suite::SetUp();
    std::filesystem::create_directories(world().Path("gate"));
    std::filesystem::remove(world().Path("gate/open"));
  }

  // ctl run with a folder at /gate, where the test can leave a file.
  static std::vector<std::string> RunAtGate(const std::string& name,
                                            const std::string& script) {
    return {
        "run", "--name", name,      "-v", world().Path("gate") + ":/gate:ro",
        "-m",  "64Mi",   busybox(), "sh", "-c",
        script};
  }
  static void OpenGate() { WriteFile(world().Path("gate/open"), ""); }

  static Result Fetch(int port) {
    return e2e::Run({"curl", "-sS", "--max-time", "10",
                     absl::StrCat("http://127.0.0.1:", port, "/")});
  }

  // Nothing of `ctl run --name NAME` is left.
  static bool Gone(const std::string& name) {
    return !Exists("service", name) && world().Replicas(name).empty();
  }

  static std::string nginx_;
};

std::string RunTest::nginx_;

constexpr char kAwaitGate[] =
    "while [ ! -e /gate/open ]; do sleep 0.05; done; ";

TEST_F(RunTest, WhenTheCommandEnds_OutputAndStatusAreItsOwn) {
  const Result result = world().Ctl({"run", "--name", "job", busybox(), "sh",
                                     "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_THAT(result.err, ::testing::EndsWith("err\n"));
  EXPECT_TRUE(Gone("job"));
}

TEST_F(RunTest, WhenItPrints_TheOutputComesAtOnce) {
  Session run(world(),
              RunAtGate("talk", absl::StrCat("echo one; echo two >&2; ",
                                             kAwaitGate, "echo three")));
  EXPECT_TRUE(run.AwaitOut("one\n")) << run.ToString();
  EXPECT_TRUE(run.AwaitErr("two\n")) << run.ToString();
  EXPECT_THAT(run.Out(), Not(HasSubstr("three")));
  OpenGate();
  EXPECT_EQ(run.Wait(), 0);
  EXPECT_EQ(run.Out(), "one\nthree\n");
  EXPECT_EQ(run.Err(), "two\n");
}

TEST_F(RunTest, WhenTheDaemonIsKilledMeanwhile_NothingIsLost) {
  Session run(world(),
              RunAtGate("through", absl::StrCat("echo one; ", kAwaitGate,
                                                "echo two; exit 5")));
  ASSERT_TRUE(run.AwaitOut("one\n")) << run.ToString();
  world().KillDaemon();
  OpenGate();
  world().StartDaemon();
  EXPECT_EQ(run.Wait(), 5) << run.ToString();
  EXPECT_EQ(run.Out(), "one\ntwo\n");
  EXPECT_TRUE(Gone("through"));
}

TEST_F(RunTest, WhenFlagsAreGiven_TheCommandSeesThem) {
  const std::string script = "id -u; pwd; echo $A-$B; touch /x || echo sealed";
  WriteFile(world().Path("vars"), "A=file\nB=\"from file\"\n");
  const Result result =
      Ctl({"run", "-e", "A=flag", "--env-file", world().Path("vars"), "-u",
           "app", "-w", "/tmp", "--read-only", "--entrypoint", "/bin/sh",
           busybox(), "-c", script});
  EXPECT_EQ(result.out, "1000\n/tmp\nflag-from file\nsealed\n");
}

TEST_F(RunTest, WhenTheImageIsMissing_ItIsPulled) {
  Ctl({"run", nginx_, "-v"});
  Ctl({"rmi", nginx_});
  Result refused = CtlFails({"run", "--pull", "never", nginx_, "x"}, 125);
  EXPECT_THAT(refused.err, HasSubstr("is not on this host"));
  const Result pulled = Ctl({"run", nginx_, "-v"});
  EXPECT_THAT(pulled.err, HasSubstr(nginx_ + ": resolving\n"));
  EXPECT_THAT(pulled.err, HasSubstr("nginx version"));
  refused = CtlFails({"run", nginx_ + "none", "x"}, 125);
  EXPECT_THAT(refused.err, HasSubstr("has no such image"));
}

TEST_F(RunTest, WhenAPortIsPublished_ItAnswersUntilTheEnd) {
  Session run(world(), {"run", "--name", "web", "-p",
                        absl::StrCat(kPort, ":80"), nginx_});
  EXPECT_TRUE(Eventually([] { return Fetch(kPort).ok(); })) << run.ToString();
  EXPECT_THAT(Fetch(kPort).out, HasSubstr("v1"));
  EXPECT_THAT(run.Err(),
              HasSubstr("listens on localhost only; -p all:8090:80"));
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(), 0) << run.ToString();
  EXPECT_TRUE(Gone("web"));
  EXPECT_TRUE(Eventually([] { return !Fetch(kPort).ok(); }));
}

TEST_F(RunTest, WhenDetached_ItStaysAndKeepsItsName) {
  const Result started = Ctl(
      {"run", "-d", "--name", "bg", "-p", absl::StrCat(kPort, ":80"), nginx_});
  EXPECT_EQ(started.out, "bg\n");
  EXPECT_TRUE(Eventually([] { return Fetch(kPort).ok(); }));
  const std::vector<ReplicaInfo> before = world().Replicas("bg");
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"run", "-d"}, {"run"}}) {
    std::vector<std::string> again = flags;
    again.insert(again.end(), {"--name", "bg", busybox(), "true"});
    EXPECT_EQ(CtlFails(again, 125).err,
              "error: run bg: the service exists\n"
              "hint: give another --name, or ctl delete service bg\n");
  }
  const Result taken = CtlFails(
      {"run", "--name", "x", "-p", absl::StrCat(kPort, ":80"), busybox()}, 125);
  EXPECT_THAT(taken.err,
              HasSubstr("error: -p 8090:80: host port 8090 belongs to service "
                        "bg"));
  EXPECT_EQ(world().Replicas("bg").at(0).uid, before.at(0).uid);
  Ctl({"delete", "service", "bg", "--wait"});
  EXPECT_TRUE(Gone("bg"));
}

TEST_F(RunTest, WhenTheCommandIsNotThere_SaysSoAndLeavesNothing) {
  const Result result =
      CtlFails({"run", "--name", "typo", busybox(), "nosuch", "--flag"}, 127);
  EXPECT_THAT(result.err,
              HasSubstr("error: run typo: start container typo: execute "
                        "\"nosuch\": no such file in the container"));
  EXPECT_TRUE(Gone("typo"));
  // One that is found, but is none.
  for (const char* no_program : {"/etc/passwd", "/etc"}) {
    EXPECT_THAT(
        CtlFails({"run", "--name", "typo", busybox(), no_program}, 126).err,
        HasSubstr("it is not executable for the container's user"));
  }
  // The command is not to blame.
  EXPECT_THAT(
      CtlFails({"run", "--name", "typo", "-u", "nobodyhere", busybox(), "true"},
               125)
          .err,
      HasSubstr("no such user"));
  EXPECT_TRUE(Gone("typo"));
  // Detached it is tried again; when that is given up, the status is the same.
  EXPECT_THAT(
      CtlFails({"run", "-d", "--name", "typo", busybox(), "nosuch"}, 127).err,
      HasSubstr("no such file in the container"));
  EXPECT_THAT(Ctl({"ps", "-a"}).out, HasSubstr("not started (127)"));
  Ctl({"delete", "service", "typo", "--wait"});
}

TEST_F(RunTest, WhenTheNameIsWrong_SaysSoOnce) {
  EXPECT_EQ(CtlFails({"run", "--name", "Bad_Name", busybox()}, 125).err,
            "error: --name: \"Bad_Name\" is not a name; use a to z, 0 to 9 and "
            "inner dashes, at most 40 characters\n");
}

TEST_F(RunTest, WhenInterrupted_TheContainerEndsItsOwnWay) {
  Session run(world(), {"run", "--name", "int", busybox(), "sh", "-c",
                        "trap \"echo bye; exit 3\" TERM; echo up; "
                        "while :; do sleep 0.05; done"});
  ASSERT_TRUE(run.AwaitOut("up\n")) << run.ToString();
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(), 3) << run.ToString();
  EXPECT_EQ(run.Out(), "up\nbye\n");
  EXPECT_TRUE(Gone("int"));
}

TEST_F(RunTest, WhenInterruptedTwice_DoesNotWait) {
  Session run(world(), {"run", "--name", "deaf", busybox(), "sh", "-c",
                        "trap \"\" TERM; echo up; "
                        "while :; do sleep 0.05; done"});
  ASSERT_TRUE(run.AwaitOut("up\n")) << run.ToString();
  run.Signal(SIGINT);
  ASSERT_TRUE(run.AwaitErr("stopping deaf"));
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(absl::Seconds(5)), 130) << run.ToString();
}

TEST_F(RunTest, WhenItIsKept_ItsLogAndStatusStay) {
  EXPECT_EQ(world()
                .Ctl({"run", "--keep", "--name", "kept", busybox(), "sh", "-c",
                      "echo words; exit 4"})
                .code,
            4);
  EXPECT_EQ(Ctl({"logs", "kept"}).out, "words\n");
  EXPECT_THAT(Ctl({"ps", "-a"}).out, HasSubstr("exited (4)"));
  EXPECT_THAT(Ctl({"get", "service", "kept"}).out, HasSubstr("Ended"));
  Ctl({"delete", "service", "kept", "--wait"});
  EXPECT_EQ(
      world().Ctl({"run", "--keep", "--name", "kept", busybox(), "true"}).code,
      0);
  EXPECT_THAT(Ctl({"get", "replicas", "--service", "kept"}).out,
              HasSubstr("completed"));
  Ctl({"delete", "service", "kept", "--wait"});
}

TEST_F(RunTest, WhenMemoryRunsOut_SaysSo) {
  const Result result =
      world().Ctl({"run", "--name", "fat", "-m", "8Mi", busybox(), "sh", "-c",
                   "x=$(head -c 100000000 /dev/zero | tr \"\\0\" x); "
                   "echo never"});
  EXPECT_EQ(result.code, 137) << result.ToString();
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("warning: fat was killed: out of memory"));
}

TEST_F(RunTest, WhenATerminalIsAskedForWithoutOne_NamesTheWay) {
  EXPECT_THAT(CtlFails({"run", "-it", busybox(), "sh"}, 2).err,
              HasSubstr("for a pipe -i alone is right"));
}

}  // namespace
}  // namespace bulwark::e2e
