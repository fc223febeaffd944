// config.md and runtime.md: the six kinds of hooks: when, where, with what, and
// what follows when one fails.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HookSuite : public Suite {
 protected:
  std::string log() const { return scratch() + "/log"; }
  std::string Log() const { return ReadFile(log()); }
  // A hook that first reads the state: a writer may be hurt by who does not.
  void AddHook(const std::string& kind, const std::string& script) {
    bundle().AddHook(kind, "cat > /dev/null; " + script);
  }
  // A hook of that kind that adds `text` to the log. What runs in the
  // container's root writes to /log there.
  void Logs(const std::string& kind, const std::string& text) {
    const bool inside = kind == "startContainer";
    bundle().AddHook(
        kind, absl::StrCat("echo ", text, " >> ", inside ? "/log" : log()));
  }
  std::string NamespaceOf(const std::string& pid, const std::string& type) {
    char link[64] = {};
    const std::string path = absl::StrCat("/proc/", pid, "/ns/", type);
    return readlink(path.c_str(), link, sizeof(link) - 1) > 0 ? link : "";
  }
  std::string Of(const std::string& pid) {
    return absl::StrCat(NamespaceOf(pid, "mnt"), "\n", NamespaceOf(pid, "net"),
                        "\n", NamespaceOf(pid, "uts"), "\n");
  }
  void ExpectStateAt(const std::string& kind, const std::string& file,
                     const std::string& status) {
    const Json state = Json::parse(ReadFile(file), nullptr, false);
    ASSERT_TRUE(state.is_object()) << kind;
    EXPECT_EQ(state.value("id", ""), container().id()) << kind;
    EXPECT_EQ(state.value("bundle", ""), bundle().path()) << kind;
    EXPECT_EQ(state.value("status", ""), status) << kind;
    EXPECT_NE(state.value("ociVersion", ""), "") << kind;
  }
};

CONFORMANCE_SUITE_OF(HooksTest, HookSuite);
CONFORMANCE_SUITE_OF(HookFailureTest, HookSuite);

TEST_P(HooksTest, WhenThereAreAllKinds_ThenEachIsCalledAtItsTime) {
  for (const char* kind : {"poststop", "poststart", "startContainer",
                           "createContainer", "createRuntime", "prestart"}) {
    Logs(kind, absl::StrCat(kind, "-1"));
    Logs(kind, absl::StrCat(kind, "-2"));
  }
  bundle().Script("cat /log; exec /bin/probe signal");
  ASSERT_THAT(container().Create(), Succeeds());
  const std::string at_create =
      "prestart-1\nprestart-2\ncreateRuntime-1\ncreateRuntime-2\n"
      "createContainer-1\ncreateContainer-2\n";
  EXPECT_EQ(Log(), at_create);
  EXPECT_EQ(ReadFile(bundle().rootfs() + "/log"), "");

  ASSERT_THAT(container().Start(), Succeeds());
  EXPECT_EQ(Log(), at_create + "poststart-1\npoststart-2\n");
  EXPECT_TRUE(container().AwaitPrinted("ready"));
  EXPECT_THAT(container().Printed(),
              HasSubstr("startContainer-1\nstartContainer-2\n"));

  ASSERT_THAT(container().Kill("KILL"), Succeeds());
  container().AwaitExit();
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  EXPECT_THAT(Log(), Not(HasSubstr("poststop")));
  ASSERT_THAT(container().Delete(), Succeeds());
  EXPECT_EQ(Log(), at_create + "poststart-1\npoststart-2\n" +
                       "poststop-1\npoststop-2\n");
}

TEST_P(HooksTest, WhenCalled_ThenTheStateIsOnStandardInput) {
  const std::map<std::string, std::string> statuses = {
      {"prestart", "creating"},        {"createRuntime", "creating"},
      {"createContainer", "creating"}, {"startContainer", "created"},
      {"poststart", "running"},        {"poststop", "stopped"}};
  config()["annotations"] = {{"com.example.key", "value"}};
  for (const auto& [kind, status] : statuses) {
    bundle().AddHook(kind, kind == "startContainer"
                               ? "cat > /state"
                               : absl::StrCat("cat > ", scratch(), "/", kind));
  }
  StartScript("exec sleep 1000");
  ASSERT_THAT(container().Kill("KILL"), Succeeds());
  container().AwaitExit();
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  ASSERT_THAT(container().Delete(), Succeeds());
  for (const auto& [kind, status] : statuses) {
    ExpectStateAt(kind,
                  kind == "startContainer" ? bundle().rootfs() + "/state"
                                           : scratch() + "/" + kind,
                  status);
  }
  const Json state = Json::parse(ReadFile(scratch() + "/poststart"));
  EXPECT_EQ(state["annotations"].value("com.example.key", ""), "value");
  EXPECT_GT(state.value("pid", 0), 1);
}

TEST_P(HooksTest, WhenArgumentsAndEnvironmentAreGiven_ThenTheHookHasThem) {
  WriteFile(scratch() + "/hook",
            absl::StrCat("#!/bin/sh\nexec > ", log(),
                         "\necho \"$0|$1|$2\"; echo \"$A|$B|$PATH_OF_HOST\"\n"),
            0755);
  setenv("PATH_OF_HOST", "leaked", 1);
  config()["hooks"]["createRuntime"] =
      Json::array({{{"path", scratch() + "/hook"},
                    {"args", {"name", "one", "two words"}},
                    {"env", {"A=first", "B=x=y"}}}});
  EXPECT_THAT(container().Run(), Succeeds());
  unsetenv("PATH_OF_HOST");
  EXPECT_EQ(Log(), scratch() + "/hook|one|two words\nfirst|x=y|\n");
}

// Says which namespaces it is in; busybox's readlink takes one name.
std::string Readlinks(const std::string& to) {
  return absl::StrCat(
      "for n in mnt net uts; do readlink /proc/self/ns/$n; "
      "done > ",
      to);
}

TEST_P(HooksTest, WhenOfTheRuntime_ThenItRunsInTheRuntimesNamespaces) {
  const auto kinds = {"prestart", "createRuntime", "poststart", "poststop"};
  for (const char* kind : kinds) {
    AddHook(kind, Readlinks(absl::StrCat(scratch(), "/", kind)));
  }
  ASSERT_THAT(container().Run(), Succeeds());
  for (const char* kind : kinds) {
    EXPECT_EQ(ReadFile(absl::StrCat(scratch(), "/", kind)), Of("self")) << kind;
  }
}

TEST_P(HooksTest, WhenOfTheContainer_ThenItRunsInTheContainersNamespaces) {
  // Its program is the host's; the root is not yet the container's, but what
  // is mounted in it is.
  AddHook(
      "createContainer",
      absl::StrCat(Readlinks(scratch() + "/create"), "; [ -e ",
                   bundle().rootfs(), "/dev/null ] && echo made >> ", log()));
  AddHook("startContainer", Readlinks("/start"));
  StartScript("echo up; exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const std::string inside = Of(std::to_string(container().Pid()));
  EXPECT_EQ(ReadFile(scratch() + "/create"), inside);
  EXPECT_EQ(ReadFile(bundle().rootfs() + "/start"), inside);
  EXPECT_EQ(Log(), "made\n");
}

// The path names what the image has there.
TEST_P(HooksTest, WhenItIsTheImages_ThenItHasNoMoreRightsThanTheProgram) {
  const std::string rights =
      "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status";
  AddHook("startContainer", rights + " > /of-hook");
  StartScript(rights + " > /of-program; echo up; exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const std::string of_program = ReadFile(bundle().rootfs() + "/of-program");
  EXPECT_THAT(of_program, HasSubstr("CapEff"));
  EXPECT_EQ(ReadFile(bundle().rootfs() + "/of-hook"), of_program);
}

TEST_P(HooksTest, WhenTheContainerIsToBeNetworked_ThenItsNamespaceIsThere) {
  // What network plugins do: they enter it by the state's pid.
  bundle().AddHook("createRuntime",
                   absl::StrCat("pid=$(tr -d '\\n' | "
                                "sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/');"
                                " readlink /proc/$pid/ns/net > ",
                                log()));
  StartScript("echo up; exec sleep 1000");
  EXPECT_EQ(Log(),
            NamespaceOf(std::to_string(container().Pid()), "net") + "\n");
  EXPECT_NE(Log(), NamespaceOf("self", "net") + "\n");
}

TEST_P(HookFailureTest, WhenOneAtCreateFails_ThenCreateFailsAndAllIsUndone) {
  for (const char* kind : {"prestart", "createRuntime", "createContainer"}) {
    SCOPED_TRACE(kind);
    WriteFile(log(), "");
    config()["hooks"] = Json::object();
    AddHook(kind, "exit 1");
    Logs(kind, "next");
    Logs("poststop", "poststop");
    EXPECT_THAT(container().Create(), IsRefused());
    EXPECT_EQ(container().State(), Json::object());
    EXPECT_EQ(Log(), "poststop\n");
    if (container().Status() != "") container().Delete({"--force"});
  }
}

TEST_P(HookFailureTest, WhenOneInTheContainerFails_ThenTheProgramDoesNotRun) {
  AddHook("startContainer", "exit 1");
  bundle().Script("echo ran");
  ASSERT_THAT(container().Create(), Succeeds());
  EXPECT_THAT(container().Start(), IsRefused());
  container().AwaitExit();
  EXPECT_THAT(container().Printed(), Not(HasSubstr("ran")));
  EXPECT_THAT(container().Status(), ::testing::AnyOf("", "stopped"));
}

TEST_P(HookFailureTest, WhenOneAfterStartFails_ThenItIsWarnedOfOrStopped) {
  // Version 1.2 wants a warning, those after it that the container is stopped.
  AddHook("poststart", "exit 1");
  bundle().Script("exec sleep 1000");
  ASSERT_THAT(container().Create(), Succeeds());
  if (container().Start().ok()) {
    EXPECT_EQ(container().Status(), "running");
  } else {
    EXPECT_TRUE(Eventually([&] {
      const std::string status = container().Status();
      return status.empty() || status == "stopped";
    }));
  }
}

TEST_P(HookFailureTest, WhenOneAfterStopFails_ThenTheRestRunAndItIsDeleted) {
  AddHook("poststop", "exit 1");
  Logs("poststop", "second");
  StartScript("exit 0");
  EXPECT_EQ(container().AwaitExit(), 0);
  ASSERT_TRUE(container().AwaitStatus("stopped"));
  container().Delete();
  EXPECT_EQ(Log(), "second\n");
  EXPECT_EQ(container().State(), Json::object());
}

TEST_P(HookFailureTest, WhenOneIsTooSlow_ThenItIsEndedAndCreateFails) {
  AddHook("createRuntime", "exec sleep 100");
  config()["hooks"]["createRuntime"][0]["timeout"] = 1;
  EXPECT_THAT(container().Create(), IsRefused());
  EXPECT_EQ(container().State(), Json::object());
}

TEST_P(HookFailureTest, WhenItsTimeIsNotPositive_ThenCreateFails) {
  for (const int timeout : {0, -1}) {
    config()["hooks"] = Json::object();
    bundle().AddHook("poststop", "exit 0");
    config()["hooks"]["poststop"][0]["timeout"] = timeout;
    EXPECT_THAT(container().Create(), IsRefused()) << timeout;
    if (container().Status() != "") container().Delete({"--force"});
  }
}

TEST_P(HookFailureTest, WhenItsPathIsRelative_ThenCreateFails) {
  bundle().AddHook("createRuntime", "exit 0");
  config()["hooks"]["createRuntime"][0]["path"] = "sh";
  ExpectCreateRefused();
}

TEST_P(HookFailureTest, WhenItsProgramIsMissing_ThenCreateFails) {
  bundle().AddHook("createRuntime", "exit 0");
  config()["hooks"]["createRuntime"][0]["path"] = scratch() + "/none";
  ExpectCreateRefused();
}

}  // namespace
}  // namespace bulwark::conformance
