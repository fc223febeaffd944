#include "scheduler/replica/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using Kind = Step::Kind;
using State = v1::ReplicaStatus;

constexpr ContainerRole kInit = ContainerRole::kInit;
constexpr ContainerRole kSidecar = ContainerRole::kSidecar;
constexpr ContainerRole kMain = ContainerRole::kMain;
constexpr auto kWaiting = ContainerView::Hook::kWaiting;
constexpr auto kRunning = ContainerView::Hook::kRunning;
constexpr auto kOver = ContainerView::Hook::kOver;

// A replica told in sentences.
class Story {
 public:
  explicit Story(State::State state) {
    view.now = absl::FromUnixSeconds(1893456000);
    view.drain_timeout = absl::Seconds(30);
    view.stop_timeout = absl::Seconds(20);
    view.replica.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    view.replica.mutable_status()->set_state(state);
    Since(absl::ZeroDuration());
  }
  Story& Since(absl::Duration ago) {
    SetTime(view.replica.mutable_status()->mutable_state_time(),
            view.now - ago);
    return *this;
  }
  Story& Stop() {
    view.replica.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    view.replica.mutable_spec()->set_reason("ScaledDown");
    return *this;
  }
  Story& RolledBack(const std::string& probe = "") {
    Stop();
    view.replica.mutable_spec()->set_reason("RolledBack");
    view.replica.mutable_status()->set_probe_message(probe);
    return *this;
  }
  Story& SkipDrain() {
    view.replica.mutable_spec()->set_skip_drain(true);
    return *this;
  }
  Story& Ready() {
    view.replica.mutable_status()->set_ready(true);
    SetTime(view.replica.mutable_status()->mutable_ready_time(),
            view.now - absl::Minutes(1));
    return *this;
  }
  Story& Out(int64_t active) {
    view.is_out = true;
    view.active_connections = active;
    return *this;
  }
  Story& NotOut() {
    view.is_out = false;
    view.active_connections = -1;
    return *this;
  }
  Story& LivenessFailed() {
    view.replica.mutable_status()->set_liveness_failed(true);
    return *this;
  }
  // An execution of a job.
  Story& OfJob() {
    view.replica.mutable_spec()->set_job("import");
    return *this;
  }
  // These change the container that was told last.
  Story& Outdated(absl::Duration again_in = absl::ZeroDuration()) {
    view.containers.back().outdated = true;
    view.containers.back().update_at = view.now + again_in;
    return *this;
  }
  Story& Hook(ContainerView::Hook hook) {
    view.containers.back().hook = hook;
    return *this;
  }
  Story& Told(const std::string& reason) {
    view.replica.mutable_status()->set_reason(reason);
    return *this;
  }
  Story& Ours() {
    view.hooks_are_ours = true;
    return *this;
  }
  Story& None(ContainerRole role) {
    ContainerView c;
    c.role = role;
    c.name = absl::StrCat("c", view.containers.size());
    c.id = c.name;
    view.containers.push_back(c);
    return *this;
  }
  Story& Runs(ContainerRole role, bool signalled = false) {
    None(role);
    engine::ContainerInfo info;
    info.start_time = view.now - absl::Minutes(2);
    view.containers.back().info = info;
    view.containers.back().signalled = signalled;
    return *this;
  }
  Story& Exited(ContainerRole role, int code,
                absl::Duration ago = absl::ZeroDuration(), int attempt = 0,
                absl::Duration ran = absl::Seconds(1)) {
    Runs(role);
    ContainerView& c = view.containers.back();
    c.attempt = attempt;
    c.info->state = engine::ContainerState::kExited;
    c.info->exit.code = code;
    c.info->exit.finish_time = view.now - ago;
    c.info->start_time = view.now - ago - ran;
    return *this;
  }

  ReplicaView view;
};

std::string Tell(const Step& step, absl::Time now) {
  const std::string targets =
      step.targets.empty()
          ? ""
          : absl::StrCat(" ", step.targets[0],
                         step.targets.size() > 1
                             ? absl::StrCat(",", step.targets[1])
                             : "");
  switch (step.kind) {
    case Kind::kWait:
      return step.wake_at == absl::InfiniteFuture()
                 ? "wait"
                 : absl::StrCat("wait ",
                                absl::FormatDuration(step.wake_at - now));
    case Kind::kSetState:
      return State::State_Name(step.state);
    case Kind::kStart:
      return absl::StrCat("start", targets);
    case Kind::kRestart:
      return absl::StrCat("restart", targets);
    case Kind::kUpdate:
      return absl::StrCat("update", targets);
    case Kind::kHook:
      return absl::StrCat("hook", targets, " ", step.reason);
    case Kind::kSignal:
      return absl::StrCat("signal", targets);
    case Kind::kKill:
      return absl::StrCat("kill", targets);
    case Kind::kEnd:
      return absl::StrCat(State::State_Name(step.state), " ", step.reason);
  }
  return "?";
}

TEST(NextStepTest, DecidesByTable) {
  const absl::Duration s = absl::Seconds(1);
  const struct {
    const char* name;
    Story story;
    const char* expected;
  } kCases[] = {
      {"recorded", Story(State::PENDING).None(kMain), "STARTING"},
      {"starts", Story(State::STARTING).None(kMain), "start 0"},
      {"init first", Story(State::STARTING).None(kInit).None(kInit).None(kMain),
       "start 0"},
      {"init runs", Story(State::STARTING).Runs(kInit).None(kInit).None(kMain),
       "wait"},
      {"next init",
       Story(State::STARTING).Exited(kInit, 0).None(kInit).None(kMain),
       "start 1"},
      {"init failed", Story(State::STARTING).Exited(kInit, 1).None(kMain),
       "FAILED Error"},
      {"sidecar before main",
       Story(State::STARTING).Exited(kInit, 0).None(kSidecar).None(kMain),
       "start 1"},
      {"main", Story(State::STARTING).Runs(kSidecar).None(kMain), "start 1"},
      {"second main", Story(State::STARTING).Runs(kMain).None(kMain),
       "start 1"},
      {"all run", Story(State::STARTING).Runs(kSidecar).Runs(kMain), "RUNNING"},
      {"steady", Story(State::RUNNING).Runs(kSidecar).Runs(kMain), "wait"},
      {"main exited", Story(State::RUNNING).Exited(kMain, 1), "FAILED Error"},
      {"main succeeded", Story(State::RUNNING).Exited(kMain, 0),
       "FAILED Completed"},
      {"the rest is killed first",
       Story(State::RUNNING).Runs(kSidecar).Exited(kMain, 1).Runs(kMain),
       "kill 0,2"},
      {"exited while starting",
       Story(State::STARTING).Exited(kMain, 2).None(kMain), "FAILED Error"},
      {"lost", Story(State::RUNNING).None(kMain), "FAILED ShimLost"},
      {"an init container of long ago is no matter",
       Story(State::RUNNING).None(kInit).Runs(kMain), "wait"},
      {"liveness failed", Story(State::RUNNING).LivenessFailed().Runs(kMain),
       "kill 0"},
      {"liveness failed and killed",
       Story(State::RUNNING).LivenessFailed().Exited(kMain, 137),
       "FAILED LivenessFailed"},
      {"sidecar exits: at once",
       Story(State::RUNNING).Exited(kSidecar, 1).Runs(kMain), "restart 0"},
      {"again: after a second",
       Story(State::RUNNING).Exited(kSidecar, 1, s * 0, 1).Runs(kMain),
       "wait 1s"},
      {"a long run starts anew",
       Story(State::RUNNING).Exited(kSidecar, 1, s * 0, 5, s * 60).Runs(kMain),
       "restart 0"},
      {"a failing sidecar at start waits, main starts meanwhile",
       Story(State::STARTING).Exited(kSidecar, 1, s * 0, 1).None(kMain),
       "start 1"},

      {"stop before anything", Story(State::PENDING).Stop().None(kMain),
       "STOPPED ScaledDown"},
      {"stop while starting",
       Story(State::STARTING).Stop().Runs(kInit).None(kMain), "STOPPING"},
      {"stop drains", Story(State::RUNNING).Stop().Ready().Runs(kMain),
       "DRAINING"},
      {"drain: not out yet",
       Story(State::DRAINING).Stop().Ready().NotOut().Runs(kMain), "wait 40s"},
      {"drain: out, connections",
       Story(State::DRAINING).Stop().Ready().Out(3).Runs(kMain), "wait 30s"},
      {"drain: out, unknown",
       Story(State::DRAINING).Stop().Ready().Out(-1).Runs(kMain), "wait 30s"},
      {"drain: out, quiet",
       Story(State::DRAINING).Stop().Ready().Out(0).Runs(kMain), "STOPPING"},
      {"drain: time is over",
       Story(State::DRAINING).Stop().Ready().Since(s * 30).Out(3).Runs(kMain),
       "STOPPING"},
      {"drain: no word from the data plane",
       Story(State::DRAINING).Stop().Ready().Since(s * 40).NotOut().Runs(kMain),
       "STOPPING"},
      {"drain skipped: still out first",
       Story(State::DRAINING).Stop().Ready().SkipDrain().NotOut().Runs(kMain),
       "wait 10s"},
      {"drain skipped",
       Story(State::DRAINING).Stop().Ready().SkipDrain().Out(3).Runs(kMain),
       "STOPPING"},
      {"not ready, nobody connected",
       Story(State::DRAINING).Stop().Out(-1).Runs(kMain), "STOPPING"},
      {"not ready, but somebody is",
       Story(State::DRAINING).Stop().Out(2).Runs(kMain), "wait 30s"},
      {"ended while draining",
       Story(State::DRAINING).Stop().Ready().Out(3).Exited(kMain, 0),
       "STOPPED ScaledDown"},
      {"signal", Story(State::STOPPING).Stop().Runs(kSidecar).Runs(kMain),
       "signal 1"},
      {"signalled",
       Story(State::STOPPING).Stop().Runs(kSidecar).Runs(kMain, true),
       "wait 20s"},
      {"sidecars after",
       Story(State::STOPPING).Stop().Runs(kSidecar).Exited(kMain, 143),
       "signal 0"},
      {"kill",
       Story(State::STOPPING)
           .Stop()
           .Since(s * 20)
           .Runs(kSidecar)
           .Runs(kMain, true),
       "kill 0,1"},
      {"stopped", Story(State::STOPPING).Stop().Exited(kMain, 143),
       "STOPPED ScaledDown"},
      {"a job's success ends it",
       Story(State::RUNNING).OfJob().Exited(kMain, 0), "FAILED Completed"},
      {"a quick one too", Story(State::STARTING).OfJob().Exited(kMain, 0),
       "FAILED Completed"},
      {"all containers of a job have to succeed",
       Story(State::RUNNING).OfJob().Exited(kMain, 0).Runs(kMain), "wait"},
      {"the last one did",
       Story(State::RUNNING).OfJob().Exited(kMain, 0).Exited(kMain, 0),
       "FAILED Completed"},
      {"one is over before the other starts",
       Story(State::STARTING).OfJob().Exited(kMain, 0).None(kMain), "start 1"},
      {"one failure ends it",
       Story(State::RUNNING)
           .OfJob()
           .Exited(kMain, 0)
           .Exited(kMain, 3)
           .Runs(kMain),
       "kill 2"},
      {"an execution is not drained",
       Story(State::RUNNING).OfJob().Stop().Runs(kMain), "STOPPING"},
      {"it was over before it was told",
       Story(State::RUNNING).OfJob().Stop().Exited(kMain, 0),
       "FAILED Completed"},
      {"over just before the signal",
       Story(State::STOPPING).OfJob().Stop().Exited(kMain, 0, s),
       "FAILED Completed"},
      {"cut short, however it took it",
       Story(State::STOPPING).OfJob().Stop().Since(s * 2).Exited(kMain, 0, s),
       "STOPPED ScaledDown"},
      {"limits are set in place",
       Story(State::RUNNING).Runs(kSidecar).Runs(kMain).Outdated(), "update 1"},
      {"limits that were refused wait",
       Story(State::RUNNING).Runs(kMain).Outdated(s * 4), "wait 4s"},
      {"who is stopped needs no limits",
       Story(State::STOPPING).Stop().Runs(kMain, true).Outdated(), "wait 20s"},
      {"hook before signal",
       Story(State::STOPPING).Stop().Runs(kMain).Hook(kWaiting).Runs(kMain),
       "hook 0 PreStop"},
      {"who has none waits too",
       Story(State::STOPPING)
           .Stop()
           .Runs(kMain)
           .Hook(kRunning)
           .Runs(kMain)
           .Told("PreStop")
           .Ours(),
       "wait 20s"},
      {"hook over",
       Story(State::STOPPING)
           .Stop()
           .Runs(kMain)
           .Hook(kOver)
           .Runs(kMain)
           .Told("PreStop")
           .Ours(),
       "signal 0,1"},
      {"hooks of sidecars come later",
       Story(State::STOPPING)
           .Stop()
           .Runs(kSidecar)
           .Hook(kWaiting)
           .Runs(kMain, true),
       "wait 20s"},
      {"when the others are gone",
       Story(State::STOPPING)
           .Stop()
           .Runs(kSidecar)
           .Hook(kWaiting)
           .Exited(kMain, 143)
           .Told("PreStop")
           .Ours(),
       "hook 0 PreStop"},
      {"cut off by a crash",
       Story(State::STOPPING).Stop().Runs(kMain).Hook(kWaiting).Told("PreStop"),
       "hook 0 PreStopAgain"},
      {"cut off twice",
       Story(State::STOPPING)
           .Stop()
           .Runs(kMain)
           .Hook(kWaiting)
           .Told("PreStopAgain"),
       "signal 0"},
      {"a hook has no more than the stop's time",
       Story(State::STOPPING)
           .Stop()
           .Since(s * 20)
           .Runs(kMain)
           .Hook(kRunning)
           .Told("PreStop")
           .Ours(),
       "kill 0"},
      {"who fails has no hook",
       Story(State::RUNNING).Runs(kMain).Hook(kWaiting).Exited(kMain, 1),
       "kill 0"},
      {"the end", Story(State::FAILED).Exited(kMain, 1), "wait"},
      {"the other end", Story(State::STOPPED).Runs(kMain), "wait"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Tell(NextStep(c.story.view), c.story.view.now), c.expected)
        << c.name;
  }
}

TEST(NextStepTest, WhenSeveralExited_TheFirstToGoIsBlamed) {
  Story story(State::RUNNING);
  story.Exited(kMain, 1, absl::Seconds(1)).Exited(kMain, 2, absl::Seconds(3));
  const Step step = NextStep(story.view);
  EXPECT_EQ(step.culprit, 1u);
  EXPECT_EQ(step.message, "c1 exited with status 2");
}

TEST(NextStepTest, WhenItsRevisionIsRolledBack_TheEndSaysWhatWasWrong) {
  Story unready(State::STOPPING);
  unready.RolledBack("tcp :80: refused").Exited(kSidecar, 0).Exited(kMain, 0);
  Step step = NextStep(unready.view);
  EXPECT_EQ(step.state, State::STOPPED);
  EXPECT_EQ(step.reason, "RolledBack");
  EXPECT_EQ(step.message,
            "its revision was rolled back; it was not ready: tcp :80: refused");
  EXPECT_EQ(step.culprit, 1u);  // whose last log lines are kept
  Story ready(State::STOPPING);
  ready.RolledBack("late").Ready().Exited(kMain, 0);
  EXPECT_EQ(NextStep(ready.view).message, "its revision was rolled back");
  Story never_ran(State::STOPPING);
  never_ran.RolledBack().None(kMain);
  step = NextStep(never_ran.view);
  EXPECT_EQ(step.message, "its revision was rolled back");
  EXPECT_EQ(step.culprit, std::nullopt);
}

TEST(ExitReasonTest, NamesTheCause) {
  engine::ExitInfo exit;
  EXPECT_EQ(ExitReason(exit), "Completed");
  exit.code = 3;
  EXPECT_EQ(ExitReason(exit), "Error");
  exit.code = 137;
  exit.signal = 9;
  EXPECT_EQ(ExitSentence(exit), "was killed by signal 9");
  exit.oom_killed = true;
  EXPECT_EQ(ExitReason(exit), "OOMKilled");
  exit.unknown_reason = "the shim was killed";
  EXPECT_EQ(ExitReason(exit), "ShimLost");
  exit.unknown_reason = "the host was rebooted";
  EXPECT_EQ(ExitReason(exit), "HostReboot");
  exit.launch_error = "exec /app: No such file or directory";
  EXPECT_EQ(ExitReason(exit), "LaunchFailed");
}

}  // namespace
}  // namespace bulwark::scheduler
