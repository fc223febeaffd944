// ctl's commands about objects: apply, get, describe, events, wait, delete.

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CtlTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2ectl"); }
  static void TearDownTestSuite() { Close(); }

  static int Count(const std::string& text, const std::string& part) {
    int count = 0;
    for (size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + 1)) {
      ++count;
    }
    return count;
  }

  static void Start(const std::string& name, const std::string& more = "") {
    ASSERT_TRUE(world().Apply(Manifest(name, "exec sleep 100000", more)).ok());
    ASSERT_TRUE(world().AwaitReady(name, 1));
  }

  // A folder for manifests, empty.
  static std::string Folder() {
    const std::string folder = world().Path("folder");
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    return folder;
  }
};

TEST_F(CtlTest, WhenTheDaemonIsKilled_WatchesGoOn) {
  Start("seen");
  Session replicas(world(), {"get", "replicas", "-w", "--service", "seen"});
  Session events(world(), {"events", "-w", "seen"});
  ASSERT_TRUE(replicas.AwaitOut("running")) << replicas.ToString();
  ASSERT_TRUE(events.AwaitOut("ReplicaStarted")) << events.ToString();
  world().KillDaemon();
  EXPECT_TRUE(replicas.AwaitErr("bulwarkd does not answer"));
  world().StartDaemon();
  EXPECT_TRUE(replicas.AwaitErr("bulwarkd answers again"));
  const ReplicaInfo victim = world().Replicas("seen").at(0);
  ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
  EXPECT_TRUE(replicas.AwaitOut("failed")) << replicas.ToString();
  EXPECT_TRUE(events.AwaitOut("was killed by signal 9")) << events.ToString();
  ASSERT_TRUE(world().AwaitReady("seen", 1));
  const std::string heir = world().Ready("seen").at(0).name;
  EXPECT_TRUE(replicas.AwaitOut(heir)) << replicas.ToString();
  // What was told before the restart is not told again.
  EXPECT_EQ(Count(replicas.Out(), "NAME"), 1) << replicas.Out();
  EXPECT_EQ(Count(events.Out(), victim.name + " runs"), 1) << events.Out();
  // A failed replica is not ready.
  EXPECT_THAT(Ctl({"get", "replica", victim.name}).out,
              ::testing::ContainsRegex("failed +no "));
}

TEST_F(CtlTest, WhenPrinted_EachFormIsItsOwn) {
  Start("form");
  EXPECT_THAT(
      Ctl({"get", "services", "-o", "wide"}).out,
      AllOf(StartsWith("NAME"), HasSubstr("IMAGES"), HasSubstr(busybox())));
  EXPECT_EQ(Ctl({"get", "service/form", "-o", "name"}).out, "service/form\n");
  EXPECT_EQ(
      ParseService(Ctl({"get", "service", "form", "-o", "json"}).out).replicas,
      1);
  EXPECT_THAT(Ctl({"get", "service", "form", "-o", "yaml"}).out,
              AllOf(HasSubstr("kind: Service"), HasSubstr("readyReplicas: 1")));
  const std::string manifest =
      Ctl({"get", "service", "form", "-o", "manifest"}).out;
  Ctl({"scale", "form", "2", "--wait"});
  EXPECT_EQ(Ctl({"apply", "-f", "-"}, manifest).out,
            "service form configured\n");
  EXPECT_EQ(Ctl({"apply", "-f", "-"}, manifest).out,
            "service form unchanged\n");
  EXPECT_THAT(CtlFails({"get", "form"}, 2).err, HasSubstr("service/form"));
  EXPECT_THAT(CtlFails({"get", "service", "none"}).err, HasSubstr("not found"));
  EXPECT_EQ(Ctl({"get", "volumes"}).err, "no volumes in project default\n");
}

TEST_F(CtlTest, WhenOnATerminal_StatesHaveColours) {
  Start("bright");
  const std::vector<std::string> get =
      CtlCommand(world(), {"get", "service", "bright"});
  auto screen = [&](std::vector<std::string> command) {
    command.insert(command.end(), get.begin(), get.end());
    Terminal terminal(command, 24, 120);
    EXPECT_EQ(terminal.Wait(), 0);
    return terminal.screen();
  };
  EXPECT_THAT(screen({"/usr/bin/env", "-u", "NO_COLOR", "TERM=xterm"}),
              HasSubstr("\x1b[32m1/1\x1b[0m"));
  for (const char* variable : {"NO_COLOR=1", "TERM=dumb"}) {
    EXPECT_THAT(screen({"/usr/bin/env", variable}),
                AllOf(HasSubstr("1/1"), Not(HasSubstr("\x1b"))))
        << variable;
  }
  EXPECT_THAT(Ctl({"get", "service", "bright"}).out, Not(HasSubstr("\x1b")));
  Ctl({"delete", "service", "bright", "--wait"});
}

TEST_F(CtlTest, WhenTheOutputCannotBeWritten_SaysSo) {
  const std::string ctl =
      absl::StrCat(world().bin("ctl"), " --socket unix://",
                   world().Path("r/bulwarkd.sock"), " get services");
  const Result full = e2e::Run({"sh", "-c", ctl + " > /dev/full"});
  EXPECT_EQ(full.code, 1) << full.ToString();
  EXPECT_EQ(full.err,
            "error: write standard output: No space left on device\n");
  // A reader that has seen enough is no error.
  const Result head = e2e::Run({"sh", "-c", ctl + " | head -c 1"});
  EXPECT_EQ(head.ToString(), "exit 0\nstdout: N\nstderr: ");
}

TEST_F(CtlTest, WhenDescribed_TellsCausesReplicasAndEvents) {
  world().Apply(Manifest("sick", "echo the cause; exit 3"));
  ASSERT_TRUE(Eventually([] {
    return world().Condition("sick", "CrashLoop").find("TRUE") == 0 ||
           world().Condition("sick", "CrashLoop").find("true") == 0;
  }));
  const std::string text = Ctl({"describe", "service", "sick"}).out;
  EXPECT_THAT(text, HasSubstr("Status:         CrashLoop"));
  EXPECT_THAT(text,
              HasSubstr("exited with status 3; last log lines: the cause"));
  EXPECT_THAT(text, HasSubstr("Replicas:\n  NAME"));
  EXPECT_THAT(text, HasSubstr("ReplicaFailed"));
  EXPECT_THAT(text, Not(HasSubstr("container ")));
  auto json = nlohmann::json::parse(
      Ctl({"describe", "service", "sick", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["state"], "CrashLoop");
  EXPECT_THAT(json["message"].get<std::string>(), HasSubstr("the cause"));
  ASSERT_FALSE(json["replicas"].empty());
  EXPECT_TRUE(json["replicas"][0]["restarts"].is_number());
  EXPECT_THAT(json["events"].dump(), HasSubstr("ReplicaFailed"));
  EXPECT_THAT(Ctl({"ps"}).out, Not(HasSubstr("sick")));
  Ctl({"delete", "service", "sick", "--wait"});
}

TEST_F(CtlTest, WhenWaitedFor_EndsWithTheState) {
  const Result applied =
      Ctl({"apply", "-f", "-", "--wait"},
          Manifest("awaited", "exec sleep 100000", "replicas: 2\n"));
  EXPECT_THAT(applied.out, StartsWith("service awaited created\n"));
  EXPECT_THAT(applied.err, HasSubstr("revision 1 is available, 2 of 2"));
  EXPECT_EQ(world().Ready("awaited").size(), 2);
  Ctl({"wait", "service", "awaited", "--for", "condition=Available"});
  EXPECT_THAT(CtlFails({"wait", "service", "awaited", "--for", "deleted",
                        "--timeout", "300ms"},
                       124)
                  .err,
              HasSubstr("timed out"));
  EXPECT_EQ(CtlFails({"wait", "service", "nobody"}).err,
            "error: service nobody: does not exist\n");
  Session deleted(world(), {"wait", "service", "awaited", "--for", "deleted"});
  ASSERT_TRUE(deleted.AwaitErr("still there"));
  const std::vector<ReplicaInfo> replicas = world().Ready("awaited");
  EXPECT_EQ(Ctl({"delete", "service", "awaited", "--wait"}).out,
            "service awaited deleted\n");
  for (const ReplicaInfo& replica : replicas) {
    EXPECT_NE(kill(replica.pid, 0), 0);
  }
  EXPECT_EQ(deleted.Wait(), 0) << deleted.ToString();
}

TEST_F(CtlTest, WhenScaledDown_WaitsForTheLastToGo) {
  Start("shrink");
  Ctl({"scale", "shrink", "3", "--wait"});
  EXPECT_EQ(world().Ready("shrink").size(), 3);
  EXPECT_THAT(Ctl({"scale", "shrink", "1", "--wait"}).err,
              HasSubstr("1 of 1 replica ready"));
  EXPECT_EQ(world().Ready("shrink").size(), 1);
}

TEST_F(CtlTest, WhenTheImageDoesNotExist_WaitingEndsWithTheCause) {
  const Result applied = world().Ctl(
      {"apply", "-f", "-", "--wait"}, absl::Seconds(60),
      absl::StrCat("{kind: Service, name: lost, image: '", busybox(), "x'}"));
  EXPECT_EQ(applied.code, 1) << applied.ToString();
  EXPECT_THAT(applied.err, HasSubstr("has no such image"));
  EXPECT_EQ(Count(applied.err, "check the"), 1) << applied.err;
  // A declaration that mends it is judged by itself.
  Ctl({"apply", "-f", "-", "--wait"}, Manifest("lost", "exec sleep 100000"));
  Ctl({"delete", "service", "lost", "--wait"});
}

TEST_F(CtlTest, WhenAFolderIsApplied_FilesVariablesAndPathsAreRead) {
  const std::string folder = Folder();
  std::filesystem::create_directories(folder + "/conf");
  WriteFile(folder + "/conf/file", "from the host\n");
  WriteFile(folder + "/a.yaml",
            Manifest("one",
                     "cat /conf/file; echo ${WORD:-none} ${OTHER:-none}; "
                     "exec sleep 100000",
                     "labels: {set: x}\nvolumes: [\"./conf:/conf:ro\"]\n"));
  WriteFile(folder + "/b.yml",
            Manifest("two", "exec sleep 100000", "labels: {set: x}\n"));
  WriteFile(folder + "/notes.txt", "no manifest");
  WriteFile(world().Path("vars"), "# words\nexport WORD=\"of a file\"\n");
  const Result applied = Ctl(
      {"apply", "-f", folder, "--env-file", world().Path("vars"), "--wait"});
  EXPECT_EQ(applied.out, "service one created\nservice two created\n");
  EXPECT_EQ(Ctl({"logs", "one"}).out, "from the host\nof a file none\n");
  EXPECT_NE(world().Ctl({"exec", "one", "touch", "/conf/x"}).code, 0);

  // Without the file, the default holds.
  std::filesystem::remove(folder + "/b.yml");
  const Result dry =
      Ctl({"apply", "-f", folder, "--prune", "-l", "set=x", "--dry-run"});
  EXPECT_THAT(dry.out,
              AllOf(StartsWith("service one configured (dry run)\n    ~ "
                               "spec.containers[one].command: "),
                    HasSubstr("replace\nservice two deleted (dry run)\n")));
  EXPECT_TRUE(Exists("service", "two"));
  EXPECT_EQ(Ctl({"apply", "-f", folder, "--prune", "-l", "set=x"}).out,
            "service one configured\nservice two deleted\n");
  EXPECT_TRUE(Eventually([] { return !Exists("service", "two"); }));
  EXPECT_TRUE(Eventually([] {
    return world().Ctl({"logs", "one"}).out.find("none none") !=
           std::string::npos;
  }));
  Ctl({"delete", "-f", folder, "--wait"});
  EXPECT_FALSE(Exists("service", "one"));
}

TEST_F(CtlTest, WhenAManifestIsWrong_NothingIsApplied) {
  const std::string folder = Folder();
  WriteFile(folder + "/good.yaml", Manifest("good", "exec sleep 100000"));
  WriteFile(folder + "/bad.yaml", "kind: Service\nname: bad\nimag: x\n");
  EXPECT_THAT(CtlFails({"apply", "-f", folder}).err,
              HasSubstr("bad.yaml:3:1: spec.imag: unknown field; did you mean "
                        "image?"));
  EXPECT_FALSE(Exists("service", "good"));
  CtlFails({"apply", "-f", folder + "/none.yaml"});
  CtlFails({"apply", "-f", folder, "--prune"}, 2);
  const Result missing = CtlFails({"delete", "service", "good", "bad"});
  EXPECT_THAT(missing.err, HasSubstr("hint: nothing was deleted"));
}

TEST_F(CtlTest, WhenListed_PsShowsWhatRuns) {
  Start("shown");
  const ReplicaInfo replica = world().Ready("shown").at(0);
  EXPECT_THAT(Ctl({"ps"}).out,
              AllOf(StartsWith("REPLICA"), HasSubstr(replica.name),
                    HasSubstr(absl::StrCat(replica.pid)), HasSubstr("up ")));
  EXPECT_THAT(Ctl({"ps", "-q"}).out, HasSubstr(replica.name + "\n"));
}

TEST_F(CtlTest, WhenCompleted_NamesComeFromTheDaemon) {
  Start("complete-me");
  const std::string script =
      "set -e; PATH=$BIN:$PATH; source <(ctl completion bash); "
      "COMP_WORDS=(ctl \"$@\"); COMP_CWORD=$#; _ctl; echo \"${COMPREPLY[@]}\"";
  auto complete = [&](std::vector<std::string> words) {
    std::vector<std::string> argv = {
        "env",
        "BIN=" + world().Path("bin"),
        "BULWARK_SOCKET=unix://" + world().Path("r/bulwarkd.sock"),
        "bash",
        "-c",
        script,
        "bash"};
    argv.insert(argv.end(), words.begin(), words.end());
    const Result result = e2e::Run(argv);
    EXPECT_TRUE(result.ok()) << result.ToString();
    return result.out;
  };
  EXPECT_EQ(complete({"shut"}), "shutdown\n");
  EXPECT_EQ(complete({"get", "servi"}), "services\n");
  EXPECT_EQ(complete({"logs", "complete"}), "complete-me\n");
  EXPECT_EQ(complete({"get", "service", "complete"}), "complete-me\n");
  EXPECT_EQ(complete({"rollout", "hist"}), "history\n");
  EXPECT_EQ(complete({"logs", "--fol"}), "--follow\n");
}

}  // namespace
}  // namespace bulwark::e2e
