// Containers over time: limits, logs, execs, crashes, recovery, leaks. Needs
// root and busybox-static.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/record.h"
#include "engine/local/testing/local_world.h"
#include "engine/program_error.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using testing::CountResources;
using ::testing::HasSubstr;
using testing::LocalWorld;
using ::testing::Not;

const EventSink kNoSink = [](absl::string_view) {};

class LifecycleTest : public ::testing::Test {
 protected:
  ContainerInfo Start(const ContainerSpec& spec) {
    absl::StatusOr<ContainerInfo> info = world_.engine().Start(spec);
    EXPECT_OK(info);
    return info.value_or(ContainerInfo());
  }
  StateRecord State(const std::string& id) {
    absl::StatusOr<StateRecord> state = ReadState(Dirs(id));
    EXPECT_OK(state);
    return state.value_or(StateRecord());
  }
  ContainerDirs Dirs(const std::string& id) {
    return {world_.config().runtime_dir + "/containers/" + id,
            world_.config().state_dir + "/containers/" + id};
  }
  void AwaitGone(int pid) {
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
    while (kill(pid, 0) == 0 && world_.clock().Steady() < deadline) {
      world_.clock().Sleep(absl::Milliseconds(2));
    }
  }

  LocalWorld world_;
};

TEST_F(LifecycleTest, WhenMemoryRunsOut_IsReportedAsSuch) {
  ContainerSpec spec = world_.Shell("a", "exec dd if=/dev/zero of=/x bs=64M");
  spec.resources.memory_limit_bytes = 16 << 20;
  Start(spec);
  const ContainerInfo info = world_.AwaitExit("a");
  EXPECT_TRUE(info.exit.oom_killed);
  EXPECT_EQ(info.exit.code, 137);
  ASSERT_OK_AND_ASSIGN(ContainerStats stats, world_.engine().Stats("a"));
  EXPECT_GE(stats.oom_kills, 1);
}

TEST_F(LifecycleTest, WhenACommandIsDetached_ItOutlivesUs) {
  Start(world_.Obedient("a"));
  ExecSpec spec;
  spec.args = {"/bin/sh", "-c",
               "echo lost; until [ -e /tmp/go ]; do sleep 0.02; done; "
               "echo over > /tmp/over"};
  spec.user = "1000";
  spec.detach = true;
  world_.RunShell("a", "busybox mkdir -p /tmp; busybox chmod 1777 /tmp");
  struct stat before, after;
  ASSERT_EQ(stat("/dev/null", &before), 0);
  ASSERT_OK(world_.engine().Exec("a", spec).status());
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_EQ(world_.RunShell("a", "echo > /tmp/go"), "");
  const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(20);
  while (world_.RunShell("a", "cat /tmp/over 2>/dev/null; true") != "over\n" &&
         world_.clock().Steady() < deadline) {
  }
  EXPECT_EQ(world_.RunShell("a", "cat /tmp/over"), "over\n");
  // Where its streams lead is the host's.
  ASSERT_EQ(stat("/dev/null", &after), 0);
  EXPECT_EQ(after.st_uid, before.st_uid);
  if (after.st_uid != before.st_uid) {
    ASSERT_EQ(chown("/dev/null", before.st_uid, before.st_gid), 0);
  }

  spec.terminal = true;
  EXPECT_THAT(world_.engine().Exec("a", spec),
              StatusIs(absl::StatusCode::kInvalidArgument));
  spec.terminal = false;
  spec.args = {"nosuch"};
  EXPECT_THAT(world_.engine().Exec("a", spec),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(LifecycleTest, WhenKilledWithoutOom_IsNotReportedAsOom) {
  ContainerSpec spec = world_.Shell("a", "kill -9 $$; exit 137");
  spec.resources.memory_limit_bytes = 64 << 20;
  Start(spec);
  const ContainerInfo info = world_.AwaitExit("a");
  EXPECT_EQ(info.exit.code, 137);
  EXPECT_FALSE(info.exit.oom_killed);
}

TEST_F(LifecycleTest, WhenProcessesRunOut_ForkFails) {
  ContainerSpec spec = world_.Shell(
      "a", "for i in $(seq 20); do sleep 100 & done; exec sleep 100");
  spec.resources.pids_limit = 8;
  Start(spec);
  EXPECT_THAT(world_.AwaitExit("a").exit.code, ::testing::Ne(0));
  EXPECT_THAT(world_.Output("a"), HasSubstr("can't fork"));
}

TEST_F(LifecycleTest, WhenCpuIsLimited_StillRuns) {
  ContainerSpec spec = world_.Shell("a", "exit 5");
  spec.resources.cpu_limit_millicores = 200;
  spec.resources.cpu_request_millicores = 100;
  Start(spec);
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 5);
}

TEST_F(LifecycleTest, WhenSignalled_TheFirstProcessHandlesIt) {
  Start(world_.Shell("a",
                     "trap 'exit 9' TERM; echo ready; "
                     "while true; do sleep 0.01; done"));
  LogOptions follow;
  follow.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, world_.engine().Logs("a", follow));
  ASSERT_OK(reader->Next(absl::Seconds(10)));
  EXPECT_OK(world_.engine().Signal("a", SIGTERM));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 9);
}

TEST_F(LifecycleTest, WhenTheReaderIsNobody_TheContainerIsNotBlocked) {
  Start(world_.Shell("a", "seq 1 50000; exit 4"));
  world_.Close();
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 4);
}

TEST_F(LifecycleTest, WhenContainerHasATerminal_ItsOutputIsLogged) {
  ContainerSpec spec = world_.Shell("a", "tty; echo x > /dev/tty");
  spec.terminal = true;
  Start(spec);
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  EXPECT_EQ(world_.Output("a"), "/dev/pts/0\r\nx\r\n");
}

TEST_F(LifecycleTest, WhenExecHasATerminal_ItHasTheGivenSize) {
  Start(world_.Shell("a", "exec sleep 1000"));
  ExecSpec spec;
  spec.args = {"sh", "-c", "read x; tty; stty size; exit 3"};
  spec.terminal = true;
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", spec));
  EXPECT_EQ(session->error(), -1);
  EXPECT_EQ(session->input(), session->output());
  EXPECT_OK(session->Resize(40, 120));
  ASSERT_EQ(write(session->input(), "\n", 1), 1);
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = read(session->output(), buffer, 256)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_THAT(text, AllOf(HasSubstr("/dev/pts/0"), HasSubstr("40 120")));
  EXPECT_THAT(session->Wait(), IsOkAndHolds(3));
}

TEST_F(LifecycleTest, WhenExecIsGivenInput_ReadsItToTheEnd) {
  ContainerSpec container = world_.Shell("a", "exec sleep 1000");
  container.env.push_back("COLOR=red");
  container.env.push_back("KEPT=1");
  Start(container);
  ExecSpec spec;
  spec.args = {"sh", "-c", "cat; echo $COLOR $KEPT >&2; id -u; pwd"};
  spec.env = {"COLOR=blue"};
  spec.user = "app";
  spec.cwd = "/bin";
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", spec));
  EXPECT_THAT(session->WaitFor(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  ASSERT_EQ(write(session->input(), "hello\n", 6), 6);
  session->CloseInput();
  char buffer[256] = {};
  std::string text;
  for (ssize_t n; (n = read(session->output(), buffer, 256)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(text, "hello\n1000\n/bin\n");
  ASSERT_GT(read(session->error(), buffer, 255), 0);
  EXPECT_EQ(std::string(buffer).substr(0, 7), "blue 1\n");
  EXPECT_THAT(session->Wait(), IsOkAndHolds(0));
}

TEST_F(LifecycleTest, WhenExecCannotRun_SaysWhy) {
  Start(world_.Shell("a", "exec sleep 1000"));
  ExecSpec spec;
  spec.args = {"missing"};
  EXPECT_THAT(
      world_.engine().Exec("a", spec),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing")));
  spec.args = {};
  EXPECT_THAT(world_.engine().Exec("a", spec),
              StatusIs(absl::StatusCode::kInvalidArgument));
  spec.args = {"true"};
  spec.user = "nobody";
  EXPECT_THAT(
      world_.engine().Exec("a", spec),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nobody")));
}

TEST_F(LifecycleTest, WhenExecsDirectoryIsMissing_SaysSoAndMakesNone) {
  Start(world_.Shell("a", "exec sleep 1000"));
  ExecSpec spec;
  spec.args = {"true"};
  spec.cwd = "/typo/dir";
  const absl::Status missing = world_.engine().Exec("a", spec).status();
  EXPECT_THAT(missing, StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("/typo/dir: No such file")));
  EXPECT_EQ(ProgramErrorOf(missing), kProgramNotFound);
  EXPECT_EQ(world_.RunShell("a", "[ -e /typo ] || echo none"), "none\n");
  spec.cwd = "/bin/busybox";
  EXPECT_EQ(ProgramErrorOf(world_.engine().Exec("a", spec).status()),
            kProgramCannotRun);
}

TEST_F(LifecycleTest, WhenSessionIsDropped_ItsProcessIsKilled) {
  Start(world_.Shell("a", "exec sleep 1000"));
  ExecSpec spec;
  spec.args = {"sleep", "2000"};
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", spec));
  EXPECT_THAT(world_.RunShell("a", "ps"), HasSubstr("sleep 2000"));
  session.reset();
  EXPECT_THAT(world_.RunShell("a", "ps"), Not(HasSubstr("sleep 2000")));
  ASSERT_OK_AND_ASSIGN(session, world_.engine().Exec("a", spec));
  EXPECT_OK(session->Signal(SIGTERM));
  EXPECT_THAT(session->Wait(), IsOkAndHolds(128 + SIGTERM));
  EXPECT_THAT(session->Signal(SIGTERM),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LifecycleTest, WhenContainerIsKilled_ItsExecsEndToo) {
  Start(world_.Shell("a", "exec sleep 1000"));
  ExecSpec spec;
  spec.args = {"sleep", "2000"};
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", spec));
  EXPECT_OK(world_.engine().Kill("a"));
  EXPECT_THAT(session->Wait(), IsOkAndHolds(137));
}

TEST_F(LifecycleTest, WhenShimIsKilled_IsReportedWithinTwoSeconds) {
  const ContainerInfo info = Start(world_.Shell("a", "exec sleep 1000"));
  const absl::Duration begin = world_.clock().Steady();
  ASSERT_EQ(kill(State("a").shim.pid, SIGKILL), 0);
  const ContainerInfo after = world_.AwaitExit("a");
  EXPECT_LT(world_.clock().Steady() - begin, absl::Seconds(2));
  EXPECT_EQ(after.exit.code, 255);
  EXPECT_THAT(after.exit.unknown_reason, HasSubstr("shim"));
  AwaitGone(info.pid);
  EXPECT_NE(kill(info.pid, 0), 0);
  EXPECT_OK(world_.engine().Remove("a"));
}

TEST_F(LifecycleTest, WhenShimIsKilledWhileNobodyWatches_RecoverTells) {
  Start(world_.Shell("a", "exec sleep 1000"));
  const StateRecord state = State("a");
  world_.Close();
  ASSERT_EQ(kill(state.shim.pid, SIGKILL), 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  // The signal may still be on its way: then the watcher finds out.
  const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, world_.engine().Inspect("a"));
  while (info.state != ContainerState::kExited &&
         world_.clock().Steady() < deadline) {
    world_.clock().Sleep(absl::Milliseconds(5));
    ASSERT_OK_AND_ASSIGN(info, world_.engine().Inspect("a"));
  }
  EXPECT_EQ(info.state, ContainerState::kExited);
  EXPECT_THAT(info.exit.unknown_reason, HasSubstr("shim"));
  // The verdict lasts.
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK_AND_ASSIGN(info, world_.engine().Inspect("a"));
  EXPECT_THAT(info.exit.unknown_reason, HasSubstr("shim"));
}

TEST_F(LifecycleTest, WhenShimHangs_RecoverIsNotHeldUp) {
  const ContainerInfo before = Start(world_.Shell("a", "exec sleep 1000"));
  Start(world_.Shell("b", "exec sleep 1000"));
  const int shim = State("a").shim.pid;
  ASSERT_EQ(kill(shim, SIGSTOP), 0);
  world_.Reopen();
  const absl::Duration begin = world_.clock().Steady();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_LT(world_.clock().Steady() - begin, absl::Seconds(4));
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, world_.engine().Inspect("a"));
  EXPECT_EQ(info.pid, before.pid);
  EXPECT_EQ(world_.engine().List().size(), 2u);
  // It does not keep its container from being killed either.
  EXPECT_OK(world_.engine().Kill("a"));
  ASSERT_OK_AND_ASSIGN(info, world_.engine().Inspect("a"));
  EXPECT_EQ(info.state, ContainerState::kExited);
  EXPECT_OK(world_.engine().Remove("a"));
}

TEST_F(LifecycleTest, WhenManyRun_AShimCostsLittleMemory) {
  for (int i = 0; i < 10; ++i) {
    Start(world_.Shell(absl::StrCat("c", i), "echo hello; exec sleep 1000"));
  }
  ASSERT_OK_AND_ASSIGN(const std::string smaps,
                       os::ReadFile(absl::StrCat("/proc/", State("c5").shim.pid,
                                                 "/smaps_rollup"),
                                    1 << 16));
  const size_t at = smaps.find("\nPss:");
  ASSERT_NE(at, std::string::npos);
  EXPECT_LT(std::stoi(smaps.substr(at + 5)), 100) << smaps;  // kB
}

TEST_F(LifecycleTest, WhenHostWasRebooted_ContainersAreReportedAsLost) {
  ContainerSpec spec = world_.Shell("a", "exec sleep 1000");
  spec.labels = {{"k", "v"}};
  Start(spec);
  ASSERT_OK(world_.engine().Kill("a"));
  ASSERT_OK(world_.engine().Remove("a"));
  // What a reboot leaves: the durable directory of an earlier boot alone.
  std::filesystem::create_directories(Dirs("a").state + "/upper");
  ASSERT_OK(os::WriteFileDurably(
      Dirs("a").Record(),
      Encode(ContainerRecord{"a", spec.labels, "an-earlier-boot", ""})));
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, world_.engine().Inspect("a"));
  EXPECT_EQ(info.state, ContainerState::kExited);
  EXPECT_EQ(info.labels, spec.labels);
  EXPECT_THAT(info.exit.unknown_reason, HasSubstr("rebooted"));
  EXPECT_OK(world_.engine().Stats("a"));
}

TEST_F(LifecycleTest, WhenACrashLeftHalfOfAContainer_RecoverRemovesIt) {
  world_.Close();
  for (const char* id : {"no-record", "torn"}) {
    std::filesystem::create_directories(Dirs(id).state + "/upper");
  }
  ASSERT_OK(os::WriteFileDurably(Dirs("torn").Record(), "torn"));
  std::filesystem::create_directories(Dirs("only-runtime").runtime);
  absl::StatusOr<std::string> boot = os::BootId();
  ASSERT_OK(boot);
  std::filesystem::create_directories(Dirs("no-shim").state);
  ASSERT_OK(
      os::WriteFileDurably(Dirs("no-shim").Record(),
                           Encode(ContainerRecord{"no-shim", {}, *boot, ""})));
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_TRUE(world_.engine().List().empty());
  for (const char* part : {"/run/containers", "/state/containers"}) {
    EXPECT_THAT(os::ListDir(world_ / part),
                IsOkAndHolds(std::vector<std::string>()));
  }
}

TEST_F(LifecycleTest, WhenTwentyStartAtOnce_AllRunAndNothingIsLeftAfter) {
  const testing::Resources before = CountResources();
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      const std::string id = absl::StrCat("c", i);
      Start(world_.Shell(id, "echo started; exec sleep 1000"));
      EXPECT_OK(world_.engine().Kill(id));
      EXPECT_OK(world_.engine().Remove(id));
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Failed launches must not leak either.
  for (int i = 0; i < 3; ++i) {
    ContainerSpec bad = world_.Shell("bad", "");
    bad.args = {"/missing"};
    EXPECT_FALSE(world_.engine().Start(bad).ok());
  }
  const testing::Resources after = CountResources();
  EXPECT_EQ(after.mounts, before.mounts);
  EXPECT_EQ(after.open_files, before.open_files);
  EXPECT_EQ(after.children, before.children);
  for (const char* part : {"/run/containers", "/state/containers"}) {
    EXPECT_THAT(os::ListDir(world_ / part),
                IsOkAndHolds(std::vector<std::string>()));
  }
}

}  // namespace
}  // namespace bulwark::engine
