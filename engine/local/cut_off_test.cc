// A daemon that is killed between the order to a shim and the byte that lets
// the program begin, and what the next one finds. Needs root and
// busybox-static.
#include "engine/local/testing/cut_off.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/testing/await.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/local/record.h"
#include "engine/local/testing/asked_shim.h"
#include "engine/local/testing/local_world.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::Await;
using ::bulwark::testing::IsOkAndHolds;
using testing::CutOff;
using testing::CutOffHooks;
using testing::IsAsked;
using testing::LocalWorld;

const EventSink kNoSink = [](absl::string_view) {};
// What an engine gives to the launches of the one before.
constexpr absl::Duration kBudget = absl::Seconds(2);

// Stands still but for sleeps, and does something at a time.
class ScriptedClock final : public ::bulwark::testing::FakeClock {
 public:
  explicit ScriptedClock(absl::Duration at = absl::InfiniteDuration(),
                         std::function<void()> action = nullptr)
      : at_(start_ + at), action_(std::move(action)) {}

  void Sleep(absl::Duration d) override {
    Advance(d);
    if (action_ && Steady() >= at_) std::exchange(action_, nullptr)();
  }
  absl::Duration Passed() { return Steady() - start_; }

 private:
  const absl::Duration start_ = Steady();
  const absl::Duration at_;
  std::function<void()> action_;
};

class CutOffTest : public ::testing::TestWithParam<IdRange> {
 protected:
  CutOffTest() {
    world_.SetIds(GetParam());
    EXPECT_EQ(mkdir((world_ / "data").c_str(), 0777), 0);
    EXPECT_EQ(pipe2(told_, O_CLOEXEC), 0);
    // So that the shims of a daemon that died are ours to reap.
    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    world_.Close();
    before_ = testing::CountResources();
    --before_.open_files;  // the pipe's end that the daemon gets
  }
  ~CutOffTest() override {
    if (shim_ > 0) kill(shim_, SIGKILL);  // only if a test has failed
    close(told_[0]);
  }

  // Says so in its log and in a file once it runs, and ends.
  ContainerSpec Telling() {
    ContainerSpec spec = world_.Shell("a", "echo ran; touch /data/ran");
    spec.mounts = {{Mount::Kind::kBind, world_ / "data", "/data"}};
    return spec;
  }
  bool Exists(const std::string& path) {
    return access((world_ / path).c_str(), F_OK) == 0;
  }
  std::set<std::string> Cgroups() {
    const std::string mounts =
        os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("");
    return os::Cgroups(os::ParseCgroupLayout(mounts).value(),
                       world_.config().instance, world_.clock())
        .List();
  }

  // A daemon in a process of its own starts "a", and dies.
  void StartUntil(CutOff moment, CutOffHooks hooks = {}) {
    const pid_t daemon = fork();
    if (daemon == 0) {
      testing::DieAt(moment, std::move(hooks));
      world_.Reopen();
      ContainerSpec spec = Telling();
      spec.await_program = [] { return absl::OkStatus(); };
      if (world_.engine().Recover(kNoSink).ok()) {
        world_.engine().Start(spec).IgnoreError();
      }
      _exit(1);
    }
    close(told_[1]);
    int status = 0;
    ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it has passed the moment";
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
  }
  // In the daemon: waits until its shim, whose pid it tells, reads from the
  // gate, in the plan's first wait.
  void AwaitAtGate() {
    int shim = 0;
    EXPECT_TRUE(Await([&] {
      const absl::StatusOr<StateRecord> state =
          ReadState({world_ / "run/containers/a", ""});
      if (!state.ok()) return false;
      shim = state->shim.pid;
      return absl::StartsWith(
          os::ReadFile(absl::StrCat("/proc/", shim, "/syscall"), 4096)
              .value_or(""),
          "0 0x6 ");
    }));
    Tell(shim);
  }
  void StopAtGate() {
    AwaitAtGate();
    kill(shim_, SIGSTOP);
  }
  // While its child waits for leave.
  void StopAsRunning() {
    int shim = 0;
    EXPECT_TRUE(Await([&] {
      const absl::StatusOr<StateRecord> state =
          ReadState({world_ / "run/containers/a", ""});
      shim = state.ok() && state->running ? state->shim.pid : 0;
      return shim > 0;
    }));
    Tell(shim);
    kill(shim, SIGSTOP);
  }
  // While it waits for its order.
  void StopBeforeOrder() {
    int shim = 0;
    EXPECT_TRUE(Await([&] {
      const std::string children =
          os::ReadFile(absl::StrCat("/proc/self/task/", getpid(), "/children"),
                       4096)
              .value_or("");
      return absl::SimpleAtoi(absl::StripAsciiWhitespace(children), &shim) &&
             absl::StartsWith(
                 os::ReadFile(absl::StrCat("/proc/", shim, "/syscall"), 4096)
                     .value_or(""),
                 "47 0x4 ");
    }));
    Tell(shim);
    kill(shim, SIGSTOP);
  }
  void Tell(int shim) {
    shim_ = shim;
    EXPECT_EQ(write(told_[1], &shim, sizeof(shim)), ssize_t{sizeof(shim)});
  }
  void HearOfShim() {
    ASSERT_EQ(read(told_[0], &shim_, sizeof(shim_)), ssize_t{sizeof(shim_)});
  }
  // How the shim ended, as waitpid(2) says it.
  int ReapShim() {
    int status = -1;
    EXPECT_TRUE(
        Await([&] { return waitpid(shim_, &status, WNOHANG) == shim_; }));
    shim_ = 0;
    return status;
  }

  void RecoverAndClose(Clock& clock) {
    auto engine = LocalEngine::Create(world_.config(), clock);
    ASSERT_OK(engine);
    ASSERT_OK((*engine)->Recover(kNoSink));
    EXPECT_TRUE((*engine)->List().empty());
  }
  void ExpectNothingIsLeft() {
    EXPECT_FALSE(Exists("data/ran"));
    for (const char* part : {"state/containers", "run/containers"}) {
      EXPECT_THAT(os::ListDir(world_ / part),
                  IsOkAndHolds(std::vector<std::string>()));
    }
    EXPECT_EQ(Cgroups(), std::set<std::string>());
    // Neither shims nor what they began; the next wait finds no child at all.
    EXPECT_TRUE(Await([] { return waitpid(-1, nullptr, WNOHANG) < 0; }));
    const testing::Resources after = testing::CountResources();
    EXPECT_EQ(after.mounts, before_.mounts);
    EXPECT_EQ(after.open_files, before_.open_files);
  }
  void ExpectItCanBeStarted() {
    world_.Reopen();
    ASSERT_OK(world_.engine().Recover(kNoSink));
    ASSERT_OK(world_.engine().Start(Telling()));
    EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
    EXPECT_EQ(world_.Output("a"), "ran\n");
  }

  LocalWorld world_;
  testing::Resources before_;
  int told_[2] = {-1, -1};
  int shim_ = 0;
};
INSTANTIATE_TEST_SUITE_P(
    Containers, CutOffTest,
    ::testing::Values(IdRange{}, IdRange{1879048192 + 12 * 65536, 65536}),
    [](const auto& info) {
      return std::string(info.param.size == 0 ? "HostUsers" : "OwnUsers");
    });

TEST_P(CutOffTest, WhenKilledRightAfterTheOrder_TheNextClearsItAway) {
  StartUntil(CutOff::kOrdered);
  EXPECT_TRUE(Exists("state/containers/a"));
  EXPECT_FALSE(Exists("state/containers/a/record"));
  EXPECT_EQ(Cgroups(), std::set<std::string>());
  RecoverAndClose(world_.clock());
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

TEST_P(CutOffTest, WhenKilledBeforeTheGroupsAreMade_TheNextClearsItAway) {
  StartUntil(CutOff::kOrdered, {nullptr, [this] { AwaitAtGate(); }});
  HearOfShim();
  EXPECT_TRUE(Exists("state/containers/a"));
  EXPECT_FALSE(Exists("state/containers/a/record"));
  EXPECT_EQ(Cgroups(), std::set<std::string>());
  // By itself, since nobody is left who could let it go on.
  const int end = ReapShim();
  EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 1) << end;
  RecoverAndClose(world_.clock());
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

TEST_P(CutOffTest, WhenKilledBeforeTheFirstByte_TheNextClearsItAway) {
  StartUntil(CutOff::kGrouped, {nullptr, [this] { AwaitAtGate(); }});
  HearOfShim();
  EXPECT_FALSE(Exists("state/containers/a/record"));
  EXPECT_EQ(Cgroups(), std::set<std::string>{"a"});
  const int end = ReapShim();
  EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 1) << end;
  RecoverAndClose(world_.clock());
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

TEST_P(CutOffTest, WhenKilledBeforeTheLastByte_TheNextClearsItAway) {
  StartUntil(CutOff::kRecorded);
  EXPECT_TRUE(Exists("state/containers/a/record"));
  EXPECT_EQ(Cgroups(), std::set<std::string>{"a"});
  RecoverAndClose(world_.clock());
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

TEST_P(CutOffTest, WhenItsShimIsLate_TheNextWaitsForItsEnd) {
  StartUntil(CutOff::kGrouped, {nullptr, [this] { StopAtGate(); }});
  HearOfShim();
  int end = -1;
  ScriptedClock clock(absl::Milliseconds(500), [&] {
    EXPECT_TRUE(Exists("run/containers/a/lock"));
    EXPECT_TRUE(Exists("state/containers/a"));
    EXPECT_EQ(kill(shim_, SIGCONT), 0);
    end = ReapShim();
  });
  RecoverAndClose(clock);
  EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 1) << end;
  EXPECT_GE(clock.Passed(), absl::Milliseconds(500));
  EXPECT_LT(clock.Passed(), absl::Milliseconds(600));
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

TEST_P(CutOffTest, WhenItsShimHangs_TheNextKillsItAfterTwoSeconds) {
  StartUntil(CutOff::kGrouped, {nullptr, [this] { StopAtGate(); }});
  HearOfShim();
  ScriptedClock clock;
  RecoverAndClose(clock);
  const int end = ReapShim();
  EXPECT_TRUE(WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL) << end;
  EXPECT_GE(clock.Passed(), kBudget);
  EXPECT_LT(clock.Passed(), kBudget + absl::Milliseconds(100));
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

// A shim says that it runs before its child has executed.
TEST_P(CutOffTest, WhenItsShimFailsWhileTheNextLooks_NothingIsLeftEither) {
  StartUntil(CutOff::kRecorded, {nullptr, [this] { StopAsRunning(); }});
  HearOfShim();
  std::thread later([this] {
    EXPECT_TRUE(Await([this] { return IsAsked(shim_); }));
    kill(shim_, SIGCONT);
  });
  RecoverAndClose(world_.clock());
  later.join();
  const int end = ReapShim();
  EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 1) << end;
  ExpectNothingIsLeft();
  ExpectItCanBeStarted();
}

// Nobody knows which process it is. What it was to launch is launched anew
// meanwhile.
TEST_P(CutOffTest, WhenItsShimHangsBeforeItBegins_ItDoesNoHarmLater) {
  StartUntil(CutOff::kOrdered, {[this] { StopBeforeOrder(); }, nullptr});
  HearOfShim();
  ScriptedClock clock;
  RecoverAndClose(clock);
  EXPECT_GE(clock.Passed(), kBudget);
  EXPECT_LT(clock.Passed(), kBudget + absl::Milliseconds(100));
  EXPECT_FALSE(Exists("state/containers/a"));
  EXPECT_FALSE(Exists("run/containers/a"));

  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  ASSERT_OK(world_.engine().Start(world_.Shell("a", "exec sleep 1000")));
  const ContainerDirs dirs = {world_ / "run/containers/a", ""};
  ASSERT_OK_AND_ASSIGN(const StateRecord before, ReadState(dirs));
  EXPECT_EQ(kill(shim_, SIGCONT), 0);
  const int end = ReapShim();
  EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == 1) << end;
  ASSERT_OK_AND_ASSIGN(const StateRecord after, ReadState(dirs));
  EXPECT_TRUE(after.running);
  EXPECT_EQ(after.shim.pid, before.shim.pid);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover(kNoSink));
  EXPECT_EQ(world_.RunShell("a", "echo alive"), "alive\n");
}

}  // namespace
}  // namespace bulwark::engine
