// What happens to containers as they run and end: limits in place, preStop
// hooks, init containers.

#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LiveTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2elive");
    mkdir(world().Path("out").c_str(), 0777);
  }
  static void TearDownTestSuite() { Close(); }

  // A file of the directory that containers see as /out.
  static std::string Out(const std::string& file) {
    return world().Path("out/") + file;
  }
  static std::string Service(const std::string& name,
                             const std::string& command,
                             const std::string& memory,
                             const std::string& more = "") {
    return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", busybox(),
                        "\ncommand: [sh, -c, '", command,
                        "']\nresources: {memory: ", memory, "}\nvolumes: [\"",
                        world().Path("out"),
                        ":/out\"]\nrollout: {minHealthyTime: 100ms}\n", more);
  }
  static std::vector<std::string> Events(const std::string& reason) {
    std::vector<std::string> messages;
    for (const auto& event :
         nlohmann::json::parse(Ctl({"get", "events", "-o", "json"}).out)) {
      // A field without content is not printed.
      if (event.value("reason", "") != reason) continue;
      messages.push_back(event.value("message", ""));
    }
    return messages;
  }
  static bool Is(const std::string& service, const std::string& type,
                 const std::string& state) {
    return world().Condition(service, type).rfind(state, 0) == 0;
  }
  // What the kernel limits its container to, as that sees it: bytes of memory,
  // microseconds of a processor in each tenth of a second, processes.
  static std::string LimitsOf(const std::string& service) {
    return Ctl({"exec", service, "--", "sh", "-c",
                "cd /sys/fs/cgroup; exec 2>/dev/null; "
                "cat memory.max memory/memory.limit_in_bytes; "
                "cut -d' ' -f1 cpu.max || "
                "cat cpu*/cpu.cfs_quota_us | head -n 1; "
                "cat pids.max pids/pids.max || true"})
        .out;
  }
  static int PidOf(const std::string& service) {
    const std::vector<ReplicaInfo> ready = world().Ready(service);
    return ready.size() == 1 ? ready[0].pid : 0;
  }
};

TEST_F(LiveTest, WhenLimitsChange_TheContainerKeepsItsPid) {
  const auto apply = [](const std::string& limits) {
    world().Apply(
        Service("lim", "exec sleep 100000", limits, "stop: {timeout: 1s}\n"));
  };
  apply("64Mi, cpu: 500m, pids: 100");
  ASSERT_TRUE(world().AwaitReady("lim", 1));
  const int pid = PidOf("lim");
  EXPECT_EQ(LimitsOf("lim"), "67108864\n50000\n100\n");
  apply("96Mi, cpu: 250m, pids: 50");
  EXPECT_TRUE(Eventually([] { return Events("LimitsApplied").size() == 1; }));
  EXPECT_EQ(PidOf("lim"), pid);
  EXPECT_EQ(LimitsOf("lim"), "100663296\n25000\n50\n");
  EXPECT_THAT(Ctl({"get", "revisions"}).out, Not(HasSubstr("lim-2")));
  // A daemon that takes it over knows its limits, and the next replica gets
  // them from the start.
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("lim", 1));
  EXPECT_EQ(PidOf("lim"), pid);
  kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually([&] {
    const int next = PidOf("lim");
    return next != 0 && next != pid;
  }));
  EXPECT_EQ(Events("LimitsApplied").size(), 1u);
  EXPECT_EQ(LimitsOf("lim"), "100663296\n25000\n50\n");
  Ctl({"delete", "service", "lim", "--wait"});
}

TEST_F(LiveTest, WhenMoreIsUsedThanTheNewLimit_NothingIsKilled) {
  // tail keeps a line that does not end.
  const std::string command =
      "(head -c 40000000 /dev/zero; touch /out/full; sleep 100000) | tail -n 1";
  world().Apply(Service("full", command, "128Mi", "stop: {timeout: 1s}\n"));
  ASSERT_TRUE(world().AwaitReady("full", 1));
  ASSERT_TRUE(Eventually([] {
    struct stat st;
    return stat(Out("full").c_str(), &st) == 0;
  }));
  const int pid = PidOf("full");
  // Who waits learns of it.
  const Result applied =
      Ctl({"apply", "-f", "-", "--wait"},
          Service("full", command, "16Mi", "stop: {timeout: 1s}\n"));
  EXPECT_THAT(applied.err, HasSubstr("its new limits are not set"));
  EXPECT_TRUE(Is("full", "LimitsApplied", "false LimitsRefused"))
      << world().Condition("full", "LimitsApplied");
  EXPECT_THAT(Ctl({"describe", "service", "full"}).out,
              HasSubstr("bytes are in use"));
  EXPECT_EQ(PidOf("full"), pid);
  world().Apply(Service("full", command, "96Mi", "stop: {timeout: 1s}\n"));
  EXPECT_TRUE(Eventually([] {
    return Is("full", "LimitsApplied", "true Applied");
  })) << world().Condition("full", "LimitsApplied");
  EXPECT_EQ(PidOf("full"), pid);
  Ctl({"delete", "service", "full", "--wait"});
}

TEST_F(LiveTest, WhenStopped_TheHookRunsBeforeTheSignal) {
  world().Apply(Service(
      "hook",
      "trap \"echo signal >> /out/hook; exit 0\" TERM; while :; do sleep 0.1; "
      "done",
      "64Mi",
      "preStop: \"echo hook >> /out/hook; sleep 0.5; echo over >> /out/hook\"\n"
      "stop: {timeout: 20s}\n"));
  ASSERT_TRUE(world().AwaitReady("hook", 1));
  Ctl({"stop", "hook", "--wait"});
  EXPECT_EQ(ReadFile(Out("hook")), "hook\nover\nsignal\n");
  EXPECT_TRUE(Events("PreStopFailed").empty());
  Ctl({"delete", "service", "hook", "--wait"});
}

TEST_F(LiveTest, WhenTheHookFails_ItIsAnEventAndTheStopGoesOn) {
  world().Apply(Service("fails", "exec sleep 100000", "64Mi",
                        "preStop: \"echo no peer; exit 4\"\n"
                        "stop: {timeout: 1s}\n"));
  world().Apply(Service("hangs", "exec sleep 100000", "64Mi",
                        "preStop: sleep 1000\nstop: {timeout: 2s}\n"));
  ASSERT_TRUE(world().AwaitReady("fails", 1));
  ASSERT_TRUE(world().AwaitReady("hangs", 1));
  Ctl({"stop", "fails", "--wait"});
  ASSERT_EQ(Events("PreStopFailed").size(), 1u);
  EXPECT_THAT(Events("PreStopFailed")[0],
              HasSubstr("exited with status 4: no peer"));
  Ctl({"stop", "hangs", "--wait"});
  const std::vector<ReplicaInfo> left = world().Replicas("hangs");
  EXPECT_TRUE(left.empty() || left[0].state == "stopped");
  Ctl({"delete", "service", "fails", "hangs", "--wait"});
}

TEST_F(LiveTest, WhenTheDaemonIsKilledInTheHook_ItRunsOnceMoreAndSaysSo) {
  world().Apply(Service("twice", "exec sleep 100000", "64Mi",
                        "preStop: \"echo hook >> /out/twice; sleep 3\"\n"
                        "stop: {timeout: 30s}\n"));
  ASSERT_TRUE(world().AwaitReady("twice", 1));
  Ctl({"stop", "twice"});
  for (const char* begun : {"hook\n", "hook\nhook\n"}) {
    ASSERT_TRUE(Eventually([&] { return ReadFile(Out("twice")) == begun; }));
    world().KillDaemon();
    world().StartDaemon();
  }
  Ctl({"delete", "service", "twice", "--wait"});
  EXPECT_EQ(ReadFile(Out("twice")), "hook\nhook\n");
  EXPECT_EQ(Events("PreStopAgain").size(), 1u);
}

TEST_F(LiveTest, WhenInitContainersFail_TheServiceBacksOffUntilTheySucceed) {
  auto container = [&](const std::string& name, const std::string& command) {
    return absl::StrCat("  - {name: ", name, ", image: \"", busybox(),
                        "\", command: [sh, -c, '", command, "'], volumes: [\"",
                        world().Path("out"), ":/out\"]}\n");
  };
  world().Apply(absl::StrCat(
      "kind: Service\nname: init\nrollout: {minHealthyTime: 100ms}\n"
      "stop: {timeout: 1s}\ninitContainers:\n",
      container("first", "echo first >> /out/init"),
      container("second",
                "echo second >> /out/init; test -e /out/go && echo go >> "
                "/out/init"),
      "containers:\n",
      container("main", "echo main >> /out/init; exec sleep 100000")));
  // It fails, at once again, and then later and later.
  EXPECT_TRUE(Eventually([] {
    return ReadFile(Out("init")).rfind("first\nsecond\nfirst\nsecond\n", 0) ==
           0;
  }));
  EXPECT_THAT(ReadFile(Out("init")), Not(HasSubstr("main")));
  EXPECT_TRUE(
      Eventually([] { return Is("init", "CrashLoop", "true CrashLoop"); }));
  world().KillDaemon();
  world().StartDaemon();
  WriteFile(Out("go"), "");
  ASSERT_TRUE(world().AwaitReady("init", 1));
  EXPECT_THAT(ReadFile(Out("init")),
              ::testing::EndsWith("first\nsecond\ngo\nmain\n"));
  // They are not run again for a container that runs.
  const std::string before = ReadFile(Out("init"));
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("init", 1));
  EXPECT_EQ(ReadFile(Out("init")), before);
  Ctl({"delete", "service", "init", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
