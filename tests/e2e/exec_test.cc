// ctl exec: commands in running containers, with pipes and on a terminal.

#include <signal.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;

// As of Docker: what failed is not the command.
constexpr int kNoStatus = 125;

class ExecTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2eexec");
    world().Apply(Manifest("box", "exec sleep 100000", "replicas: 2\n"));
  }
  static void TearDownTestSuite() { Close(); }
  void SetUp() override {
    Suite::SetUp();
    ASSERT_TRUE(world().AwaitReady("box", 2));
  }
};

TEST_F(ExecTest, WhenTheCommandEnds_OutputAndStatusAreItsOwn) {
  const Result result = world().Ctl(
      {"exec", "box", "sh", "-c", "echo out; echo err >&2; exit 9"});
  EXPECT_EQ(result.code, 9);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(world().Ctl({"exec", "box", "sh", "-c", "kill -9 $$"}).code, 137);
  EXPECT_EQ(Ctl({"exec", "box", "--", "echo", "-n", "--flag"}).out, "--flag");
}

TEST_F(ExecTest, WhenInputIsPiped_TheCommandReadsAllOfIt) {
  const std::string input(50000, 'x');
  EXPECT_EQ(Ctl({"exec", "-i", "box", "sh", "-c", "wc -c"}, input).out,
            "50000\n");
  EXPECT_EQ(Ctl({"exec", "-i", "box", "cat"}, input).out, input);
  // Without -i there is no input.
  EXPECT_EQ(Ctl({"exec", "box", "cat"}, input).out, "");
}

TEST_F(ExecTest, WhenFlagsAreGiven_TheCommandSeesThem) {
  EXPECT_EQ(Ctl({"exec", "-u", "app", "-w", "/tmp", "-e", "A=b", "box", "sh",
                 "-c", "id -u; pwd; echo $A"})
                .out,
            "1000\n/tmp\nb\n");
}

TEST_F(ExecTest, WhenAReplicaIsNamed_ItRunsThere) {
  for (const ReplicaInfo& replica : world().Ready("box")) {
    EXPECT_EQ(Ctl({"exec", replica.name, "hostname"}).out, replica.name + "\n");
    EXPECT_EQ(Ctl({"exec", "replica/" + replica.name, "hostname"}).out,
              replica.name + "\n");
  }
}

TEST_F(ExecTest, WhenDetached_TheCommandRunsOn) {
  const Result started =
      Ctl({"exec", "-d", "box", "sh", "-c",
           "echo lost; until test -e /tmp/go; do sleep 0.05; done; "
           "echo over > /tmp/over"});
  EXPECT_EQ(started.out, "");
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("box", 2));
  Ctl({"exec", "box", "touch", "/tmp/go"});
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"exec", "box", "cat", "/tmp/over"}).out == "over\n";
  }));
  EXPECT_THAT(CtlFails({"exec", "-d", "box", "nosuch"}, 127).err,
              HasSubstr("no such file in the container"));
  CtlFails({"exec", "-d", "-i", "box", "cat"}, 2);
}

TEST_F(ExecTest, WhenItsTerminalIsLeft_TheCommandRunsOn) {
  Terminal left(
      CtlCommand(world(), {"exec", "-it", "box", "sh", "-c",
                           "echo up; until test -e /tmp/left; do sleep 0.05; "
                           "done; yes | head -n 100000; test -t 0 && "
                           "echo over > /tmp/left-over"}),
      24, 80);
  ASSERT_TRUE(left.Await("up")) << left.screen();
  left.Type("\x10\x11");
  EXPECT_EQ(left.Wait(), 0) << left.screen();
  EXPECT_THAT(left.screen(), HasSubstr("the command goes on"));
  Ctl({"exec", "box", "touch", "/tmp/left"});
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"exec", "box", "cat", "/tmp/left-over"}).out ==
           "over\n";
  }));
  // Its terminal goes with it.
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"exec", "box", "ls", "/dev/pts"}).out == "ptmx\n";
  }));
  EXPECT_THAT(
      CtlFails({"exec", "-i", "--detach-keys", "ctrl-?", "box", "sh"}, 2).err,
      HasSubstr("--detach-keys"));
}

TEST_F(ExecTest, WhenItCannotRun_SaysWhy) {
  EXPECT_THAT(CtlFails({"exec", "box", "nosuch"}, 127).err,
              ::testing::MatchesRegex(
                  "error: exec in container box of box-0-.*: execute "
                  "\"nosuch\": no such file in the container\n"));
  EXPECT_THAT(CtlFails({"exec", "box", "/no/such"}, 127).err,
              HasSubstr("no such file in the container"));
  EXPECT_THAT(CtlFails({"exec", "-w", "/typo/dir", "box", "id"}, 127).err,
              HasSubstr("change to directory /typo/dir: No such file"));
  for (const char* no_program : {"/etc/passwd", "/etc"}) {
    EXPECT_THAT(CtlFails({"exec", "box", no_program}, 126).err,
                HasSubstr("it is not executable for the container's user"));
  }
  EXPECT_THAT(CtlFails({"exec", "-u", "nobody", "box", "id"}, kNoStatus).err,
              HasSubstr("find user \"nobody\": no such user"));
  EXPECT_THAT(CtlFails({"exec", "-c", "nope", "box", "id"}, kNoStatus).err,
              HasSubstr("hint: it has: box"));
  EXPECT_THAT(CtlFails({"exec", "gone", "id"}, kNoStatus).err,
              HasSubstr("not found"));
  CtlFails({"exec", "box"}, 2);
  CtlFails({"exec", "-t", "box", "sh"}, 2);
}

TEST_F(ExecTest, WhenNothingRuns_SaysSo) {
  world().Apply(Manifest("idle", "exec sleep 100000"));
  ASSERT_TRUE(world().AwaitReady("idle", 1));
  const std::string replica = world().Ready("idle").at(0).name;
  Ctl({"stop", "idle", "--wait"});
  EXPECT_THAT(CtlFails({"exec", "idle", "id"}, kNoStatus).err,
              HasSubstr("no replica of it is ready"));
  CtlFails({"exec", replica, "id"}, kNoStatus);
  world().Apply(Manifest("ended", "exit 3", "restart: {policy: never}\n"));
  ASSERT_TRUE(Eventually([] {
    const std::vector<ReplicaInfo> all = world().Replicas("ended");
    return !all.empty() && all[0].state == "failed";
  }));
  EXPECT_THAT(
      CtlFails({"exec", world().Replicas("ended").at(0).name, "id"}, kNoStatus)
          .err,
      HasSubstr("it does not run"));
}

TEST_F(ExecTest, WhenOnATerminal_BehavesLikeOne) {
  Terminal shell(
      CtlCommand(world(), {"exec", "-it", "-e", "PS1=%", "box", "sh"}), 33, 77);
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  EXPECT_TRUE(shell.IsRaw());
  shell.Type("stty size; tty\r");
  EXPECT_TRUE(shell.Await("\n33 77\r\n/dev/pts/0\r\n")) << shell.screen();
  shell.Resize(44, 101);
  // The new size comes along the stream, after the key that asks for it.
  EXPECT_TRUE(Eventually([&] {
    shell.Type("stty size\r");
    return shell.Await("\n44 101\r\n", absl::Milliseconds(500));
  })) << shell.screen();
  shell.Type("sleep 100000\r");
  ASSERT_TRUE(shell.Await("sleep 100000\r\n")) << shell.screen();
  // Until the shell has handed the terminal to the command, ^C is just a key.
  ASSERT_TRUE(Eventually([&] {
    shell.Type("\x03");
    return shell.Await("%", absl::Milliseconds(500));
  })) << shell.screen();
  shell.Type("echo code=$?\r");
  EXPECT_TRUE(shell.Await("\ncode=130\r\n")) << shell.screen();
  shell.Type("exit 9\r");
  EXPECT_EQ(shell.Wait(), 9) << shell.screen();
}

TEST_F(ExecTest, WhenOnATerminal_TheFirstCommandKnowsTheSize) {
  Terminal stty(CtlCommand(world(), {"exec", "-it", "box", "stty", "size"}), 31,
                73);
  EXPECT_TRUE(stty.Await("31 73\r\n")) << stty.screen();
  EXPECT_EQ(stty.Wait(), 0);
}

TEST_F(ExecTest, WhenTheTerminalsInputEnds_TheShellEnds) {
  Terminal shell(
      CtlCommand(world(), {"exec", "-it", "-e", "PS1=%", "box", "sh"}), 24, 80);
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  shell.Type("(exit 6)\r");
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  shell.Type("\x04");
  EXPECT_EQ(shell.Wait(), 6) << shell.screen();
}

TEST_F(ExecTest, WhenInterruptedWithoutATerminal_TheCommandIs) {
  Session exec(world(), {"exec", "box", "sh", "-c",
                         "trap \"echo caught; exit 4\" INT; echo up; "
                         "while :; do sleep 0.05; done"});
  ASSERT_TRUE(exec.AwaitOut("up\n")) << exec.ToString();
  exec.Signal(SIGINT);
  EXPECT_EQ(exec.Wait(), 4) << exec.ToString();
  EXPECT_EQ(exec.Out(), "up\ncaught\n");
}

// Ended by the one that started it, a command does not go on alone.
TEST_F(ExecTest, WhenCtlDies_TheCommandEnds) {
  Session exec(world(), {"exec", "box", "sh", "-c",
                         "echo $$ > /tmp/pid; echo up; exec sleep 100000"});
  ASSERT_TRUE(exec.AwaitOut("up\n")) << exec.ToString();
  auto runs = [] {
    return world()
        .Ctl({"exec", "box", "sh", "-c", "kill -0 $(cat /tmp/pid)"})
        .ok();
  };
  EXPECT_TRUE(runs());
  exec.Signal(SIGKILL);
  exec.Wait();
  EXPECT_TRUE(Eventually([&] { return !runs(); }));
}

}  // namespace
}  // namespace bulwark::e2e
