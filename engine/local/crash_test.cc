// The daemon killed at any moment, and shims that are sent nonsense. Needs root
// and busybox-static.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "engine/local/shim_client.h"
#include "engine/local/testing/local_world.h"
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

// Starts, kills and removes containers until it is killed.
[[noreturn]] void Churn(LocalWorld& world, int round) {
  world.Reopen();
  world.engine().Recover(kNoSink).IgnoreError();
  for (int i = 0;; ++i) {
    const std::string id = absl::StrCat("r", round, "-", i);
    ContainerSpec spec = world.Shell(id, "exec sleep 1000");
    if (i % 4 < 2) spec.await_program = [] { return absl::OkStatus(); };
    world.engine().Start(spec).IgnoreError();
    if (i % 2 == 0) continue;
    world.engine().Kill(id).IgnoreError();
    world.engine().Remove(id).IgnoreError();
  }
}

TEST(CrashTest, WhenDaemonIsKilledAnywhere_RecoverFindsOnlyWholeContainers) {
  LocalWorld world;
  SeededEntropy entropy(20260101);
  for (int round = 0; round < 12; ++round) {
    world.Close();
    const pid_t daemon = fork();
    if (daemon == 0) Churn(world, round);
    world.clock().Sleep(absl::Milliseconds(20 + 250 * entropy.Fraction()));
    ASSERT_EQ(kill(daemon, SIGKILL), 0);
    ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);

    world.Reopen();
    ASSERT_OK(world.engine().Recover(kNoSink));
    std::vector<std::string> ids;
    for (const ContainerInfo& info : world.engine().List()) {
      ids.push_back(info.id);
      if (info.state == ContainerState::kRunning) {
        EXPECT_GT(info.pid, 0);
        // Every other one was to be killed, and may be on its way out.
        const bool stays = (info.id.back() - '0') % 2 == 0;
        if (stays) {
          EXPECT_EQ(world.RunShell(info.id, "echo alive"), "alive\n");
        }
      } else {
        EXPECT_EQ(info.exit.unknown_reason, "") << info.id;
      }
      EXPECT_OK(world.engine().Kill(info.id));
    }
    EXPECT_THAT(os::ListDir(world / "state/containers"), IsOkAndHolds(ids));
    EXPECT_THAT(os::ListDir(world / "run/containers"), IsOkAndHolds(ids));
    for (const std::string& id : ids) EXPECT_OK(world.engine().Remove(id));
  }
}

// A disk that is not mounted, or a wrong directory.
TEST(CrashTest, WhenNoRunningContainerIsKnown_RecoverRefusesAndTouchesNone) {
  LocalWorld world;
  ASSERT_OK(world.engine().Start(world.Shell("a", "exec sleep 1000")));
  const int pid = world.engine().Inspect("a")->pid;
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const LocalEngineConfig right = world.config();
  for (std::string LocalEngineConfig::*directory :
       {&LocalEngineConfig::state_dir, &LocalEngineConfig::runtime_dir}) {
    world.config() = right;
    world.config().*directory = world / "other";
    world.Reopen();
    EXPECT_THAT(world.engine().Recover(kNoSink),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("1 run (a)"), HasSubstr("/other"),
                               HasSubstr("nothing was touched"))));
  }
  world.config() = right;
  world.Reopen();
  ASSERT_OK(world.engine().Recover(kNoSink));
  EXPECT_EQ(world.engine().Inspect("a")->pid, pid);
  EXPECT_EQ(world.RunShell("a", "echo alive"), "alive\n");

  world.config().state_dir = world / "other";
  world.config().erase_unknown = true;
  world.Reopen();
  ASSERT_OK(world.engine().Recover(kNoSink));
  EXPECT_TRUE(world.engine().List().empty());
  // Its shim buries it, in its own time.
  EXPECT_TRUE(os::AwaitEnd(process.get(), absl::ZeroDuration()));
}

class ShimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(world_.engine().Start(world_.Shell("a", "exec sleep 1000")));
  }
  std::string RuntimeDir() { return world_ / "run/containers/a"; }
  UniqueFd Connect() {
    UniqueFd dir(open(RuntimeDir().c_str(), O_PATH | O_CLOEXEC));
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof(address.sun_path),
                  "/proc/self/fd/%d/control.sock", dir.get());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)),
              0);
    return fd;
  }
  void ExpectAnswers() {
    EXPECT_OK(PingShim(RuntimeDir(), absl::Seconds(10), world_.clock()));
  }

  LocalWorld world_;
};

TEST_F(ShimTest, WhenSentNonsense_GoesOn) {
  SeededEntropy entropy(7);
  for (int i = 0; i < 200; ++i) {
    UniqueFd fd = Connect();
    std::string bytes;
    const size_t size = entropy.Next() % 2000;
    while (bytes.size() < size)
      bytes.push_back(static_cast<char>(entropy.Next()));
    // Half of them claim a size that is possible.
    if (i % 2 == 0 && size > 8) {
      child::PutInt(reinterpret_cast<uint8_t*>(bytes.data()),
                    entropy.Next() % 1020, 4);
      child::PutInt(reinterpret_cast<uint8_t*>(bytes.data()) + 4, 1, 2);
      child::PutInt(reinterpret_cast<uint8_t*>(bytes.data()) + 6,
                    child::kMsgResize, 2);
    }
    send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ExpectAnswers();
}

TEST_F(ShimTest, WhenConnectionsAreHeld_OthersComeAndGoAfterwards) {
  std::vector<UniqueFd> held;
  for (int i = 0; i < 20; ++i) held.push_back(Connect());
  held.clear();
  ExpectAnswers();
}

TEST_F(ShimTest, WhenARequestComesInPieces_IsAnsweredOnce) {
  UniqueFd fd = Connect();
  const std::string ping = EncodeMessage({child::kMsgPing, {}});
  for (const char c : ping) ASSERT_EQ(send(fd.get(), &c, 1, 0), 1);
  ASSERT_OK_AND_ASSIGN(
      const ShimMessage reply,
      ReadMessage(fd.get(), absl::Seconds(10), world_.clock(), nullptr));
  EXPECT_EQ(reply.type, child::kMsgReply);
  EXPECT_EQ(reply.Get(child::kTagErrno), 0u);
}

// What a later version of the daemon may send.
TEST_F(ShimTest, WhenARequestIsNewer_UnknownPartsAreSkipped) {
  UniqueFd fd = Connect();
  ASSERT_OK(SendMessage(fd.get(), {999, {{1, 1}}}));
  ASSERT_OK_AND_ASSIGN(
      ShimMessage reply,
      ReadMessage(fd.get(), absl::Seconds(10), world_.clock(), nullptr));
  EXPECT_EQ(reply.Get(child::kTagErrno), static_cast<uint64_t>(ENOSYS));
  ASSERT_OK(SendMessage(
      fd.get(), {child::kMsgSignal, {{child::kTagSignal, SIGKILL}, {999, 5}}}));
  ASSERT_OK_AND_ASSIGN(
      reply, ReadMessage(fd.get(), absl::Seconds(10), world_.clock(), nullptr));
  EXPECT_EQ(reply.Get(child::kTagErrno), 0u);
  EXPECT_EQ(world_.AwaitExit("a").exit.signal, SIGKILL);
}

TEST_F(ShimTest, WhenThereIsNoTerminal_ResizeIsRefused) {
  UniqueFd fd = Connect();
  ASSERT_OK(SendMessage(fd.get(), {child::kMsgResize, {}}));
  ASSERT_OK_AND_ASSIGN(
      const ShimMessage reply,
      ReadMessage(fd.get(), absl::Seconds(10), world_.clock(), nullptr));
  EXPECT_EQ(reply.Get(child::kTagErrno), static_cast<uint64_t>(ENOTTY));
}

}  // namespace
}  // namespace bulwark::engine
