// kill -9 of a shim and of the daemon that holds the engine, in every order.
// Afterwards each container either runs once and answers, or is reported as
// exited once, for the reason that there was; and what is removed is gone.
//
// ROUNDS sets how often each order is tried (default 6), SEED the moments.
// Needs root and busybox-static.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "engine/local/record.h"
#include "engine/local/testing/cut_off.h"
#include "engine/local/testing/local_world.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::testing::AnyOf;
using testing::CutOff;
using ::testing::HasSubstr;
using testing::LocalWorld;
using Action = std::function<void(LocalWorld&, const std::string& id)>;

const EventSink kNoSink = [](absl::string_view) {};

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  int value = otherwise;
  if (text != nullptr && absl::SimpleAtoi(text, &value)) return value;
  return otherwise;
}

class KillOrdersTest : public ::testing::Test {
 protected:
  KillOrdersTest()
      : rounds_(FromEnvironment("ROUNDS", 6)),
        entropy_(FromEnvironment("SEED", 1)) {}

  ContainerDirs Dirs(const std::string& id) {
    return {world_.config().runtime_dir + "/containers/" + id,
            world_.config().state_dir + "/containers/" + id};
  }
  // The shim of `id`, once it has written down that it launches; 0 in vain.
  int AwaitShim(const std::string& id) {
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
    while (world_.clock().Steady() < deadline) {
      const absl::StatusOr<StateRecord> state = ReadState(Dirs(id));
      if (state.ok()) return state->shim.pid;
      world_.clock().Sleep(absl::Microseconds(100));
    }
    return 0;
  }
  int Shim(const std::string& id) {
    const absl::StatusOr<StateRecord> state = ReadState(Dirs(id));
    return state.ok() ? state->shim.pid : 0;
  }
  void Pause(absl::Duration most) {
    world_.clock().Sleep(entropy_.Fraction() * most);
  }

  // A daemon in a process of its own, which takes over what is there, does
  // `action` with container `id`, and then waits to be killed.
  pid_t StartDaemon(const std::string& id, const Action& action) {
    world_.Close();
    const pid_t daemon = fork();
    if (daemon != 0) return daemon;
    world_.Reopen();
    if (!world_.engine().Recover(kNoSink).ok()) _exit(1);
    if (action) action(world_, id);
    for (;;) pause();
  }
  void KillDaemon(pid_t daemon) {
    ASSERT_EQ(kill(daemon, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it had ended by itself";
  }
  void KillShim(int pid) {
    if (pid <= 0) return;
    shim_killed_ = true;
    kill(pid, SIGKILL);  // it may have ended just now
  }
  void Recover() {
    world_.Reopen();
    ASSERT_OK(world_.engine().Recover(kNoSink));
  }

  // One that nobody touches.
  void StartBystander() {
    ASSERT_OK_AND_ASSIGN(
        const ContainerInfo info,
        world_.engine().Start(world_.Shell("bystander", "exec sleep 1000")));
    bystander_ = info.pid;
  }

  // What must hold whatever was killed. The state of `id` afterwards.
  std::string Check(const std::string& id) {
    std::set<std::string> known;
    for (const ContainerInfo& info : world_.engine().List()) {
      EXPECT_TRUE(known.insert(info.id).second) << "doubled: " << info.id;
    }
    const absl::StatusOr<ContainerInfo> other =
        world_.engine().Inspect("bystander");
    EXPECT_OK(other);
    EXPECT_EQ(other.ok() ? other->pid : 0, bystander_);
    EXPECT_EQ(world_.RunShell("bystander", "echo alive"), "alive\n");
    EXPECT_OK(world_.engine().Remove("unheard-of"));
    ExpectOnDisk(known);
    if (known.count(id) == 0) return "none";
    ContainerInfo info = Settled(id);
    if (info.state == ContainerState::kRunning) {
      EXPECT_EQ(world_.RunShell(id, "echo alive"), "alive\n");
      return "running";
    }
    EXPECT_EQ(Processes(id), 0) << "exited, and still there";
    return info.exit.unknown_reason.empty()
               ? absl::StrCat("exited ", info.exit.code)
               : "lost";
  }
  // A signal may still be on its way: then the watcher finds out.
  ContainerInfo Settled(const std::string& id) {
    const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(10);
    for (;;) {
      const absl::StatusOr<ContainerInfo> info = world_.engine().Inspect(id);
      if (!info.ok()) return ContainerInfo();
      const bool settled =
          info->state == ContainerState::kExited || !shim_killed_;
      if (settled || world_.clock().Steady() > deadline) return *info;
      world_.clock().Sleep(absl::Milliseconds(2));
    }
  }
  void ExpectOnDisk(const std::set<std::string>& known) {
    const std::vector<std::string> names(known.begin(), known.end());
    EXPECT_THAT(os::ListDir(world_ / "state/containers"), IsOkAndHolds(names));
    for (const std::string& name :
         os::ListDir(world_ / "run/containers")
             .value_or(std::vector<std::string>{"unreadable"})) {
      EXPECT_EQ(known.count(name), 1u) << "left: " << name;
    }
    for (const std::string& name : Cgroups().List()) {
      EXPECT_EQ(known.count(name), 1u) << "left: cgroup " << name;
    }
  }
  os::Cgroups Cgroups() {
    const std::string mounts =
        os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("");
    return os::Cgroups(
        os::ParseCgroupLayout(mounts).value_or(os::CgroupLayout()),
        world_.config().instance, world_.clock());
  }
  int64_t Processes(const std::string& id) {
    return Cgroups().IsPopulated(id).value_or(false) ? 1 : 0;
  }
  void RemoveIt(const std::string& id) {
    shim_killed_ = false;
    const absl::Status killed = world_.engine().Kill(id);
    EXPECT_TRUE(killed.ok() || absl::IsNotFound(killed)) << killed;
    EXPECT_OK(world_.engine().Remove(id));
    ExpectOnDisk({"bystander"});
  }
  // Which ends there were, so that a reader sees what was met.
  void Tell() {
    for (const auto& [end, count] : ends_) {
      printf("%s: %d\n", end.c_str(), count);
    }
  }

  const int rounds_;
  SeededEntropy entropy_;
  LocalWorld world_;
  int bystander_ = 0;
  bool shim_killed_ = false;  // in this round
  std::map<std::string, int> ends_;
};

const Action kStart = [](LocalWorld& world, const std::string& id) {
  world.engine().Start(world.Shell(id, "exec sleep 1000")).IgnoreError();
};

TEST_F(KillOrdersTest, WhenTheShimDiesFirst_TheDaemonReportsItOnce) {
  StartBystander();
  for (int i = 0; i < rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    const pid_t daemon = StartDaemon(id, kStart);
    const int shim = AwaitShim(id);
    while (ReadState(Dirs(id)).ok() && !ReadState(Dirs(id))->running) {
      world_.clock().Sleep(absl::Milliseconds(1));
    }
    KillShim(shim);
    Pause(absl::Milliseconds(5));  // the daemon is at it, or done
    KillDaemon(daemon);
    Recover();
    const std::string end = Check(id);
    // It may have died before its launch was told of.
    EXPECT_THAT(end, AnyOf("lost", "none"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenTheDaemonDiesFirst_TheNextOneReportsIt) {
  StartBystander();
  for (int i = 0; i < rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Shell(id, "exec sleep 1000")));
    const pid_t daemon = StartDaemon(id, nullptr);
    const int shim = Shim(id);
    Pause(absl::Milliseconds(30));
    KillDaemon(daemon);
    Pause(absl::Milliseconds(5));
    KillShim(shim);
    Recover();
    EXPECT_EQ(Check(id), "lost");
    RemoveIt(id);
  }
}

TEST_F(KillOrdersTest, WhenBothDieAtOnce_TheNextDaemonReportsIt) {
  StartBystander();
  for (int i = 0; i < rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Shell(id, "exec sleep 1000")));
    const pid_t daemon = StartDaemon(id, nullptr);
    const int shim = Shim(id);
    Pause(absl::Milliseconds(30));
    kill(daemon, SIGKILL);
    KillShim(shim);
    ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
    Recover();
    EXPECT_EQ(Check(id), "lost");
    RemoveIt(id);
  }
}

TEST_F(KillOrdersTest, WhenTheShimDiesDuringALaunch_TheStartFailsCleanly) {
  StartBystander();
  for (int i = 0; i < rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    const pid_t daemon = StartDaemon(id, kStart);
    const int shim = AwaitShim(id);
    Pause(absl::Milliseconds(4));
    KillShim(shim);
    Pause(absl::Milliseconds(20));
    KillDaemon(daemon);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("none", "lost"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenTheDaemonDiesDuringALaunch_ItIsWholeOrGone) {
  StartBystander();
  for (int i = 0; i < 2 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    const pid_t daemon = StartDaemon(id, kStart);
    // Half of them before there is a shim.
    if (i % 2 == 0) AwaitShim(id);
    Pause(absl::Milliseconds(i % 2 == 0 ? 6 : 30));
    KillDaemon(daemon);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("none", "running"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenBothDieDuringALaunch_NothingIsLeft) {
  StartBystander();
  for (int i = 0; i < 2 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    const pid_t daemon = StartDaemon(id, kStart);
    const int shim = AwaitShim(id);
    Pause(absl::Milliseconds(6));
    if (i % 2 == 0) KillShim(shim);
    KillDaemon(daemon);
    if (i % 2 != 0) KillShim(shim);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("none", "lost"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

// The order is out, and the shim waits at a gate, or is on its way there.
TEST_F(KillOrdersTest, WhenTheDaemonDiesBeforeAGateOpens_NothingIsLeft) {
  StartBystander();
  for (int i = 0; i < 6 * rounds_; ++i) {
    const std::string id = "c";  // the same again and again
    const pid_t daemon = StartDaemon(id, [i, id](LocalWorld& world, auto&) {
      DieAt(std::array{CutOff::kOrdered, CutOff::kGrouped,
                       CutOff::kRecorded}[i % 3]);
      ContainerSpec spec = world.Shell(id, "exec sleep 1000");
      spec.await_program = [] { return absl::OkStatus(); };
      world.engine().Start(spec).IgnoreError();
    });
    ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
    // Every second one with its shim, if it has come so far.
    if (i % 2 == 0) KillShim(Shim(id));
    Recover();
    const std::string end = Check(id);
    // With a record it may have begun, unless its shim says otherwise.
    EXPECT_THAT(end, AnyOf("none", i % 6 == 2 ? "lost" : "none"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

const Action kStop = [](LocalWorld& world, const std::string& id) {
  world.engine().Kill(id).IgnoreError();
};

TEST_F(KillOrdersTest, WhenTheShimDiesDuringAStop_TheStopIsDone) {
  StartBystander();
  for (int i = 0; i < 2 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Shell(id, "exec sleep 1000")));
    const int shim = Shim(id);
    const pid_t daemon = StartDaemon(id, kStop);
    while (Processes(id) != 0) world_.clock().Sleep(absl::Microseconds(50));
    KillShim(shim);
    Pause(absl::Milliseconds(20));
    KillDaemon(daemon);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("lost", "exited 137"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenTheDaemonDiesDuringAStop_TheStopGoesOn) {
  StartBystander();
  for (int i = 0; i < 2 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Shell(id, "exec sleep 1000")));
    const pid_t daemon = StartDaemon(id, kStop);
    Pause(absl::Milliseconds(40));
    KillDaemon(daemon);
    Recover();
    std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("running", "exited 137"));
    ++ends_[end];
    EXPECT_OK(world_.engine().Kill(id));
    EXPECT_EQ(Check(id), "exited 137");
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenTheShimDiesWhileItRecordsAnExit_ItIsOneOrTheOther) {
  StartBystander();
  for (int i = 0; i < 4 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Obedient(id)));
    const int shim = Shim(id);
    // Every second one while no daemon looks.
    if (i % 2 == 0) world_.Close();
    world_.Command(id, "exit 7");
    Pause(absl::Milliseconds(12));
    KillShim(shim);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("lost", "exited 7"));
    ++ends_[end];
    // The verdict stays what it was.
    Recover();
    EXPECT_EQ(Check(id), end);
    RemoveIt(id);
  }
  Tell();
}

TEST_F(KillOrdersTest, WhenTheDaemonDiesWhileAnExitIsRecorded_NoneIsLost) {
  StartBystander();
  for (int i = 0; i < 2 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Obedient(id)));
    const pid_t daemon = StartDaemon(id, nullptr);
    Pause(absl::Milliseconds(20));
    world_.Command(id, "exit 7");
    Pause(absl::Milliseconds(4));
    KillDaemon(daemon);
    Recover();
    EXPECT_EQ(world_.AwaitExit(id).exit.code, 7);
    EXPECT_EQ(Check(id), "exited 7");
    RemoveIt(id);
  }
}

const Action kRemove = [](LocalWorld& world, const std::string& id) {
  world.engine().Kill(id).IgnoreError();
  world.engine().Remove(id).IgnoreError();
};

TEST_F(KillOrdersTest, WhenTheDaemonDiesDuringARemoval_ItIsWholeOrGone) {
  StartBystander();
  for (int i = 0; i < 3 * rounds_; ++i) {
    const std::string id = absl::StrCat("c", i);
    Recover();
    ASSERT_OK(world_.engine().Start(world_.Shell(id, "exec sleep 1000")));
    const pid_t daemon = StartDaemon(id, kRemove);
    while (Processes(id) != 0) world_.clock().Sleep(absl::Microseconds(50));
    Pause(absl::Milliseconds(8));
    KillDaemon(daemon);
    Recover();
    const std::string end = Check(id);
    EXPECT_THAT(end, AnyOf("none", "exited 137"));
    ++ends_[end];
    RemoveIt(id);
  }
  Tell();
}

}  // namespace
}  // namespace bulwark::engine
