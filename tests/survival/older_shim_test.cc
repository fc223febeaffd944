// Containers of an older shim under the daemon of today, and what a later one
// might have left. Needs root and busybox-static.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/testing/status_matchers.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "engine/local/log_reader.h"
#include "engine/local/record.h"
#include "engine/local/shim_client.h"
#include "engine/local/testing/local_world.h"
#include "os/cgroup.h"
#include "os/files.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LocalWorld;

const EventSink kNoSink = [](absl::string_view) {};
constexpr char kScript[] =
    "trap 'echo stopping >&2; exit 7' TERM; echo started; "
    "while true; do sleep 0.02; done";

class OlderShimTest : public ::testing::Test {
 protected:
  // A container `id` that a shim of that mode (shim_v1.cc) keeps; its pid.
  int StartOlder(const std::string& id, const std::string& mode) {
    world_.Close();
    absl::StatusOr<std::string> mounts =
        os::ReadFile("/proc/self/mountinfo", 1 << 20);
    absl::StatusOr<os::CgroupLayout> layout =
        os::ParseCgroupLayout(mounts.value_or(""));
    if (!layout.ok()) return 0;
    os::Cgroups cgroups(*layout, world_.config().instance, world_.clock());
    EXPECT_OK(cgroups.Prepare());
    EXPECT_OK(cgroups.Create(id, {}));
    std::string groups = cgroups.Paths(id).unified;
    for (const std::string& group : cgroups.Paths(id).v1) {
      absl::StrAppend(&groups, ":", group);
    }
    const char* runfiles = std::getenv("TEST_SRCDIR");
    const std::string program = absl::StrCat(
        runfiles == nullptr ? "" : runfiles, "/bulwark/tests/survival/shim_v1");
    const std::string command =
        absl::StrJoin({program, Dirs(id).runtime, Dirs(id).state, id,
                       os::BootId().value_or(""), groups, world_.Layer(), mode,
                       absl::StrCat("/bin/sh -c \"", kScript, "\"")},
                      " ");
    FILE* pipe = popen(command.c_str(), "re");
    int pid = 0;
    if (pipe == nullptr || std::fscanf(pipe, "%d", &pid) != 1) pid = 0;
    EXPECT_EQ(pclose(pipe), 0);
    return pid;
  }
  ContainerDirs Dirs(const std::string& id) {
    return {world_.config().runtime_dir + "/containers/" + id,
            world_.config().state_dir + "/containers/" + id};
  }
  void AwaitOutput(const std::string& id, const std::string& text) {
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
    while (world_.Output(id).find(text) == std::string::npos &&
           world_.clock().Steady() < deadline) {
      world_.clock().Sleep(absl::Milliseconds(5));
    }
    EXPECT_THAT(world_.Output(id), HasSubstr(text));
  }
  // Everything that the daemon does with a container.
  void ExpectServed(const std::string& id, int pid) {
    ASSERT_OK_AND_ASSIGN(ContainerInfo info, world_.engine().Inspect(id));
    EXPECT_EQ(info.state, ContainerState::kRunning);
    EXPECT_EQ(info.pid, pid);
    EXPECT_EQ(info.labels.at("age"), "old");
    EXPECT_GT(info.start_time, world_.clock().Now() - absl::Minutes(1));
    AwaitOutput(id, "started\n");
    EXPECT_EQ(world_.RunShell(id, "echo $COLOR; exit 3"), "red\nexit 3");
    // It is privileged, as its first process is.
    EXPECT_EQ(world_.RunShell(
                  id,
                  "a=$(grep CapEff /proc/1/status); "
                  "b=$(grep CapEff /proc/self/status); [ \"$a\" = \"$b\" ]"),
              "");
    ASSERT_OK_AND_ASSIGN(const ContainerStats stats, world_.engine().Stats(id));
    EXPECT_GT(stats.pids, 0);
    EXPECT_OK(PingShim(Dirs(id).runtime, absl::Seconds(10), world_.clock()));
    Resources limits;
    limits.pids_limit = 100;
    EXPECT_OK(world_.engine().Update(id, limits));
    // Idempotent, as after any restart: it is the same container.
    ContainerSpec again = world_.Shell(id, "exit 1");
    ASSERT_OK_AND_ASSIGN(info, world_.engine().Start(again));
    EXPECT_EQ(info.pid, pid);
    EXPECT_OK(world_.engine().Signal(id, SIGTERM));
    info = world_.AwaitExit(id);
    EXPECT_EQ(info.exit.code, 7);
    EXPECT_EQ(info.exit.unknown_reason, "");
    EXPECT_EQ(world_.Output(id), "started\nstopping\n");
  }
  void ExpectGone(const std::string& id) {
    EXPECT_OK(world_.engine().Remove(id));
    EXPECT_NE(access(Dirs(id).runtime.c_str(), F_OK), 0);
    EXPECT_NE(access(Dirs(id).state.c_str(), F_OK), 0);
  }

  LocalWorld world_;
};

TEST_F(OlderShimTest, WhenAShimIsOfVersion1_IsAdoptedServedAndEnded) {
  const int pid = StartOlder("old", "v1");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ExpectServed("old", pid);
  // The exit lasts over the next restart.
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK_AND_ASSIGN(ContainerInfo info, world_.engine().Inspect("old"));
  EXPECT_EQ(info.exit.code, 7);
  ExpectGone("old");
}

TEST_F(OlderShimTest, WhenItExitsWhileNobodyWatches_TheExitIsFound) {
  const int pid = StartOlder("old", "v1");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  AwaitOutput("old", "started\n");
  world_.Close();
  ASSERT_EQ(kill(pid, SIGTERM), 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_EQ(world_.AwaitExit("old").exit.code, 7);
  ExpectGone("old");
}

TEST_F(OlderShimTest, WhenAnOlderShimIsKilled_ItsContainerIsEndedAndReported) {
  const int pid = StartOlder("old", "v1");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK_AND_ASSIGN(StateRecord state, ReadState(Dirs("old")));
  ASSERT_EQ(kill(state.shim.pid, SIGKILL), 0);
  EXPECT_THAT(world_.AwaitExit("old").exit.unknown_reason, HasSubstr("shim"));
  EXPECT_FALSE(os::OpenPidfd(state.init).ok());
  ExpectGone("old");
}

TEST_F(OlderShimTest, WhenOldAndNewRun_EachIsItself) {
  const int pid = StartOlder("old", "v1");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK(world_.engine().Start(world_.Shell("new", "exec sleep 1000")));
  EXPECT_EQ(world_.engine().List().size(), 2u);
  EXPECT_OK(world_.engine().Kill("old"));
  EXPECT_EQ(world_.AwaitExit("old").exit.code, 137);
  EXPECT_EQ(world_.RunShell("new", "echo alive"), "alive\n");
  ExpectGone("old");
}

// Its log has other names than those of today, and they change.
TEST_F(OlderShimTest, WhenItsLogIsRotated_NoLineIsMissed) {
  const std::string dir = world_ / "log";
  ASSERT_TRUE(std::filesystem::create_directory(dir));
  const auto append = [&](const std::string& name, int line) {
    std::ofstream(dir + "/" + name, std::ios::app)
        << "000000000000000000" << line << " o F line " << line << "\n";
  };
  append("log.2", 1);
  append("log.1", 2);
  append("log", 3);
  LogOptions follow;
  follow.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader,
                       OpenLog(
                           dir, follow, [] { return false; }, world_.clock()));
  int line = 0;
  const auto expect_next = [&] {
    ASSERT_OK_AND_ASSIGN(const LogEntry entry, reader->Next(absl::Seconds(10)));
    EXPECT_EQ(entry.line, absl::StrCat("line ", ++line));
  };
  for (int i = 0; i < 3; ++i) expect_next();
  for (int next = 4; next < 9; ++next) {
    append("log", next);  // the last one of this file
    std::filesystem::rename(dir + "/log.1", dir + "/log.2");
    std::filesystem::rename(dir + "/log", dir + "/log.1");
    append("log", ++next);
    expect_next();
    expect_next();
  }
  LogOptions last;
  last.tail = 2;
  ASSERT_OK_AND_ASSIGN(reader,
                       OpenLog(
                           dir, last, [] { return true; }, world_.clock()));
  line -= 2;
  expect_next();
  expect_next();
}

// A later shim, after a downgrade: more fields, the same meanings.
TEST_F(OlderShimTest, WhenALaterShimHasMoreFields_TheyAreSkipped) {
  const int pid = StartOlder("later", "extended");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ExpectServed("later", pid);
  ExpectGone("later");
}

// What cannot be read is neither half made nor to be ended.
TEST_F(OlderShimTest, WhenFramesAreOfAnUnknownVersion_IsRefusedAndUntouched) {
  const int pid = StartOlder("v2", "v2");
  ASSERT_GT(pid, 0);
  world_.Reopen();
  EXPECT_THAT(
      world_.engine().Recover(kNoSink),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("take over container v2"),
                     HasSubstr("version 2"), HasSubstr("known is version 1"),
                     HasSubstr("nothing was touched"))));
  EXPECT_EQ(kill(pid, 0), 0);
  EXPECT_EQ(access(Dirs("v2").Record().c_str(), F_OK), 0);
  const absl::Status ping =
      PingShim(Dirs("v2").runtime, absl::Seconds(10), world_.clock());
  EXPECT_THAT(ping, StatusIs(absl::StatusCode::kUnavailable,
                             HasSubstr("speaks version 2")));
  // Its own daemon would end it; here it is the test.
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
  while (kill(pid, 0) == 0 && world_.clock().Steady() < deadline) {
    world_.clock().Sleep(absl::Milliseconds(5));
  }
  world_.Close();
  ASSERT_OK(os::RemoveTree(Dirs("v2").runtime));
  ASSERT_OK(os::RemoveTree(Dirs("v2").state));
}

// The other way round: a later daemon asks the shim of today.
TEST_F(OlderShimTest, WhenARequestIsOfAnUnknownVersion_TheShimSaysSo) {
  ASSERT_OK(world_.engine().Start(world_.Shell("a", "exec sleep 1000")));
  UniqueFd dir(open(Dirs("a").runtime.c_str(), O_PATH | O_CLOEXEC));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path),
                "/proc/self/fd/%d/control.sock", dir.get());
  ASSERT_EQ(
      connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  std::string kill_request =
      EncodeMessage({child::kMsgSignal, {{child::kTagSignal, SIGKILL}}});
  child::PutInt(reinterpret_cast<uint8_t*>(kill_request.data()) + 4, 2, 2);
  ASSERT_EQ(send(fd.get(), kill_request.data(), kill_request.size(), 0),
            static_cast<ssize_t>(kill_request.size()));
  ASSERT_OK_AND_ASSIGN(
      const ShimMessage reply,
      ReadMessage(fd.get(), absl::Seconds(10), world_.clock(), nullptr));
  EXPECT_EQ(reply.Get(child::kTagErrno),
            static_cast<uint64_t>(EPROTONOSUPPORT));
  EXPECT_EQ(world_.RunShell("a", "echo alive"), "alive\n");
}

}  // namespace
}  // namespace bulwark::engine
