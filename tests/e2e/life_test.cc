// Containers while they live: terminals, input, pauses, signals, files.
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kNoStatus = 125;

class LifeTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2elife"); }
  static void TearDownTestSuite() { Close(); }

  static bool AwaitNoJob(const std::string& name) {
    return Eventually([&] { return !Exists("job", name); });
  }
};

TEST_F(LifeTest, WhenRunWithATerminal_ItIsAShellAndLeavesNothing) {
  Terminal shell(CtlCommand(world(), {"run", "-it", "--rm", "--name", "term",
                                      "-e", "PS1=%", busybox(), "sh"}),
                 33, 77);
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  EXPECT_TRUE(shell.IsRaw());
  shell.Type("stty size; tty\r");
  EXPECT_TRUE(shell.Await("\n33 77\r\n")) << shell.screen();
  shell.Resize(44, 101);
  EXPECT_TRUE(Eventually([&] {
    shell.Type("stty size\r");
    return shell.Await("\n44 101\r\n", absl::Milliseconds(500));
  })) << shell.screen();
  shell.Type("exit 9\r");
  EXPECT_EQ(shell.Wait(), 9) << shell.screen();
  EXPECT_FALSE(Exists("job", "term"));
}

TEST_F(LifeTest, WhenRunWithATerminal_ItsFirstCommandKnowsTheSize) {
  for (int i = 0; i < 3; ++i) {
    Terminal stty(
        CtlCommand(world(), {"run", "-it", busybox(), "stty", "size"}), 31, 73);
    EXPECT_TRUE(stty.Await("31 73\r\n")) << stty.screen();
    EXPECT_EQ(stty.Wait(), 0);
  }
}

TEST_F(LifeTest, WhenInputIsPiped_OutputAndStatusAreItsOwn) {
  std::string input;
  for (int i = 0; input.size() < (1 << 20); ++i) {
    absl::StrAppend(&input, i, "\n");
  }
  const Result cat = Ctl({"run", "-i", busybox(), "cat"}, input);
  EXPECT_TRUE(cat.out == input) << cat.out.size();
  const Result both = world().Ctl(
      {"run", "-i", busybox(), "sh", "-c", "cat; echo err >&2; exit 3"},
      absl::Seconds(60), "in");
  EXPECT_EQ(both.code, 3);
  EXPECT_EQ(both.out, "in");
  EXPECT_THAT(both.err, HasSubstr("err\n"));
  EXPECT_EQ(world().Ctl({"run", "-i", busybox(), "nosuch"}).code, 127);
  EXPECT_EQ(world().Ctl({"run", "-i", busybox(), "/etc/passwd"}).code, 126);
  CtlFails({"run", "-i", "-p", "8080:80", busybox(), "cat"}, 2);
  CtlFails({"run", "-it", busybox(), "cat"}, 2);
}

TEST_F(LifeTest, WhenItPutsOutMuchAtOnce_NothingIsLostOrAdded) {
  const std::string all(20 << 20, '\xff');
  for (const char* size : {"3", "50000", "20971520"}) {
    const Result result = Ctl({"run", "-i", busybox(), "sh", "-c",
                               absl::StrCat("head -c ", size,
                                            " /dev/zero | tr \"\\0\" "
                                            "\"\\377\"")});
    EXPECT_TRUE(result.out ==
                all.substr(0, static_cast<size_t>(std::atoi(size))))
        << size << " " << result.out.size();
  }
}

TEST_F(LifeTest, WhenStartedInTheBackground_ItRunsAlready) {
  Ctl({"run", "-d", "-i", "--name", "bg", busybox(), "cat"});
  Ctl({"pause", "job/bg"});
  Ctl({"unpause", "job/bg"});
  Ctl({"kill", "-s", "KILL", "job/bg"});
  EXPECT_EQ(world().Ctl({"wait", "job/bg", "--for", "exit"}).code, 137);
  Ctl({"delete", "job", "bg", "--wait"});
  EXPECT_THAT(
      CtlFails({"run", "-d", "-i", "--name", "bg", busybox(), "none"}, 127).err,
      HasSubstr("none"));
  world().Ctl({"delete", "job", "bg"});
}

TEST_F(LifeTest, WhenDetached_ItRunsOnAndCanBeAttachedTo) {
  Terminal shell(CtlCommand(world(), {"run", "-it", "--name", "det", "-e",
                                      "PS1=%", busybox(), "sh"}),
                 24, 80);
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  shell.Type("X=kept\r");
  ASSERT_TRUE(shell.Await("%")) << shell.screen();
  shell.Type("\x10\x11");
  EXPECT_EQ(shell.Wait(), 0) << shell.screen();
  Terminal again(CtlCommand(world(), {"attach", "job/det"}), 24, 80);
  ASSERT_TRUE(Eventually([&] {
    again.Type("echo =$X\r");
    return again.Await("\n=kept\r\n", absl::Milliseconds(500));
  })) << again.screen();
  again.Type("exit 5\r");
  EXPECT_EQ(again.Wait(), 5) << again.screen();
  Ctl({"delete", "job", "det"});
}

TEST_F(LifeTest, WhenTheClientIsKilled_TheInputEnds) {
  Session run(world(), {"run", "-i", "--name", "orphan", busybox(), "sh", "-c",
                        "echo up; cat; sleep 1"});
  ASSERT_TRUE(run.AwaitOut("up\n")) << run.ToString();
  run.Signal(SIGKILL);
  run.Wait();
  EXPECT_TRUE(Eventually([] {
    const Result result = world().Ctl({"wait", "job/orphan", "--for", "exit"});
    return result.code == 0;
  }));
  Ctl({"delete", "job", "orphan", "--wait"});
}

TEST_F(LifeTest, WhenTheDaemonIsKilled_TheClientAttachesAgain) {
  Session run(world(), {"run", "-i", "--name", "lasting", busybox(), "sh", "-c",
                        "echo up; sleep 5; while [ ! -e /go ]; do sleep 0.1; "
                        "done; echo later; exit 6"});
  ASSERT_TRUE(run.AwaitOut("up\n")) << run.ToString();
  world().KillDaemon();
  EXPECT_TRUE(run.AwaitErr("goes on")) << run.ToString();
  world().StartDaemon();
  ASSERT_TRUE(Eventually([] {
    return world().Ctl({"exec", "job/lasting", "touch", "/go"}).ok();
  }));
  EXPECT_EQ(run.Wait(), 6) << run.ToString();
  EXPECT_EQ(run.Out(), "up\nlater\n");
  EXPECT_TRUE(AwaitNoJob("lasting"));
}

TEST_F(LifeTest, WhenPaused_ItIsNotReplacedAndGoesOnLater) {
  world().Apply(Manifest("ice",
                         "while :; do date +%s%N > /tmp/t; sleep 0.05; done",
                         "liveness: {exec: {command: [\"true\"]}, period: "
                         "100ms, failure: 2}\n"));
  ASSERT_TRUE(world().AwaitReady("ice", 1));
  const std::string replica = world().Ready("ice").at(0).name;
  Ctl({"pause", "ice"});
  EXPECT_THAT(Ctl({"ps"}).out, HasSubstr("paused"));
  EXPECT_TRUE(Eventually([] { return world().Ready("ice").empty(); }));
  CtlFails({"exec", replica, "true"}, kNoStatus);
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Eventually(
      [] { return Ctl({"ps"}).out.find("paused") != std::string::npos; }));
  EXPECT_THAT(Ctl({"inspect", replica}).out, HasSubstr("\"paused\": true"));
  Ctl({"unpause", replica});
  ASSERT_TRUE(world().AwaitReady("ice", 1));
  EXPECT_EQ(world().Ready("ice").at(0).name, replica);
  // A stop ends the pause.
  Ctl({"pause", replica});
  Ctl({"stop", "ice", "--wait"});
}

TEST_F(LifeTest, WhenSignalled_TheFirstProcessGetsIt) {
  world().Apply(Manifest("sig",
                         "trap \"echo hup > /tmp/s\" HUP; echo set; "
                         "while :; do sleep 0.05; done"));
  ASSERT_TRUE(world().AwaitReady("sig", 1));
  ASSERT_TRUE(Eventually([] {
    return world().Ctl({"logs", "sig"}).out == "set\n";
  }));
  Ctl({"kill", "-s", "HUP", "sig"});
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"exec", "sig", "cat", "/tmp/s"}).out == "hup\n";
  }));
  CtlFails({"kill", "-s", "NOPE", "sig"});
  const Result processes = Ctl({"processes", "sig"});
  EXPECT_THAT(processes.out, HasSubstr("trap"));
  EXPECT_THAT(processes.out, HasSubstr("root"));
}

TEST_F(LifeTest, WhenCopied_FilesArriveByDockersRules) {
  world().Apply(Manifest("box", "exec sleep 100000"));
  ASSERT_TRUE(world().AwaitReady("box", 1));
  namespace fs = std::filesystem;
  const fs::path dir = world().Path("cp");
  fs::create_directories(dir / "tree/sub");
  std::ofstream(dir / "tree/a") << "A";
  std::ofstream(dir / "tree/sub/b") << "B";
  const std::string tree = dir / "tree";
  Ctl({"cp", tree, "box:/tmp"});
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/tree/sub/b"}).out, "B");
  Ctl({"cp", tree + "/.", "box:/tmp/tree/sub"});
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/tree/sub/sub/b"}).out, "B");
  Ctl({"cp", tree, "box:/tmp/new"});
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/new/a"}).out, "A");
  Ctl({"cp", tree + "/a", "box:/tmp/renamed"});
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/renamed"}).out, "A");
  CtlFails({"cp", tree + "/a", "box:/tmp/none/"});
  CtlFails({"cp", tree, "box:/tmp/renamed"});
  EXPECT_THAT(CtlFails({"cp", tree + "/sub/b", "box:/tmp/renamed/"}).err,
              HasSubstr("it is a file in the container"));
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/renamed"}).out, "A");
  CtlFails({"cp", tree, dir / "x"}, 2);

  Ctl({"cp", "box:/tmp/new", dir / "out"});
  EXPECT_TRUE(fs::exists(dir / "out/sub/b"));
  Ctl({"cp", "box:/tmp/new/.", dir / "out/sub"});
  EXPECT_TRUE(fs::exists(dir / "out/sub/sub/b"));
  Ctl({"cp", "box:/tmp/renamed", dir / "file"});
  EXPECT_EQ(ReadFile(dir / "file"), "A");
  EXPECT_THAT(CtlFails({"cp", "box:/nothing", dir}).err,
              HasSubstr("No such file"));
  Ctl({"exec", "box", "--", "sh", "-c", "mkfifo /tmp/pipe"});
  CtlFails({"cp", "box:/tmp/pipe", dir / "file"});
  EXPECT_EQ(ReadFile(dir / "file"), "A");
  CtlFails({"cp", "/dev/null", "box:/tmp/null"});
  const Result tar = Ctl({"cp", "box:/tmp/new", "-"});
  Ctl({"exec", "box", "mkdir", "/tmp/tar"});
  Ctl({"cp", "-", "box:/tmp/tar"}, tar.out);
  EXPECT_EQ(Ctl({"exec", "box", "cat", "/tmp/tar/new/sub/b"}).out, "B");

  EXPECT_THAT(Ctl({"changes", "box"}).out, HasSubstr("A /tmp/renamed\n"));
  Ctl({"export", "box", "-o", dir / "root.tar"});
  EXPECT_GT(fs::file_size(dir / "root.tar"), 500000u);
}

}  // namespace
}  // namespace bulwark::e2e
