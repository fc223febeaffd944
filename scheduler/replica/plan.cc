#include "scheduler/replica/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using Kind = Step::Kind;
using State = v1::ReplicaStatus;

constexpr absl::Duration kDataPlaneGrace = absl::Seconds(10);
constexpr absl::Duration kHealthySidecarRun = absl::Seconds(60);
constexpr Backoff kSidecarBackoff{absl::Seconds(1), absl::Seconds(60), 0};

Step Wait(absl::Time wake_at = absl::InfiniteFuture()) {
  Step step;
  step.wake_at = wake_at;
  return step;
}

Step Enter(State::State state, std::string message = "") {
  Step step;
  step.kind = Kind::kSetState;
  step.state = state;
  step.message = std::move(message);
  return step;
}

Step End(State::State state, std::string reason, std::string message) {
  Step step;
  step.kind = Kind::kEnd;
  step.state = state;
  step.reason = std::move(reason);
  step.message = std::move(message);
  return step;
}

Step Do(Kind kind, std::vector<size_t> targets) {
  Step step;
  step.kind = kind;
  step.targets = std::move(targets);
  return step;
}

template <typename Predicate>
std::vector<size_t> Where(const ReplicaView& view, Predicate predicate) {
  std::vector<size_t> found;
  for (size_t i = 0; i < view.containers.size(); ++i) {
    if (predicate(view.containers[i])) found.push_back(i);
  }
  return found;
}

std::vector<size_t> Running(const ReplicaView& view) {
  return Where(view, [](const ContainerView& c) { return c.Running(); });
}

// The replica has failed: kill what is left, then say so.
Step Fail(const ReplicaView& view, std::string reason, std::string message,
          std::optional<size_t> culprit = std::nullopt) {
  std::vector<size_t> running = Running(view);
  if (!running.empty()) return Do(Kind::kKill, std::move(running));
  Step step = End(State::FAILED, std::move(reason), std::move(message));
  step.culprit = culprit;
  return step;
}

bool IsJob(const ReplicaView& view) {
  return !view.replica.spec().job().empty();
}

// The container whose exit ends the replica. Of several the first to go.
std::optional<size_t> Culprit(const ReplicaView& view) {
  std::optional<size_t> first;
  for (size_t i = 0; i < view.containers.size(); ++i) {
    const ContainerView& c = view.containers[i];
    if (!c.Exited() || c.role == ContainerRole::kSidecar) continue;
    const bool may_succeed = c.role == ContainerRole::kInit || IsJob(view);
    if (may_succeed && c.info->exit.code == 0) continue;
    if (!first.has_value() ||
        c.info->exit.finish_time <
            view.containers[*first].info->exit.finish_time) {
      first = i;
    }
  }
  return first;
}

// Of a job whose main containers have all succeeded the last one to do so.
std::optional<size_t> Completer(const ReplicaView& view) {
  std::optional<size_t> last;
  if (!IsJob(view)) return last;
  for (size_t i = 0; i < view.containers.size(); ++i) {
    const ContainerView& c = view.containers[i];
    if (c.role != ContainerRole::kMain) continue;
    if (!c.Exited() || c.info->exit.code != 0) return std::nullopt;
    if (!last.has_value() ||
        c.info->exit.finish_time >
            view.containers[*last].info->exit.finish_time) {
      last = i;
    }
  }
  return last;
}

// The end of an execution that has succeeded; sidecars are not waited for.
Step Complete(const ReplicaView& view, size_t last) {
  return Fail(view, "Completed",
              absl::StrCat(view.containers[last].name, " ",
                           ExitSentence(view.containers[last].info->exit)),
              last);
}

std::optional<Step> Sidecar(const ReplicaView& view, size_t i) {
  const ContainerView& c = view.containers[i];
  if (c.Running()) return std::nullopt;
  if (!c.info.has_value()) return Do(Kind::kStart, {i});
  const engine::ExitInfo& exit = c.info->exit;
  absl::Time next = exit.finish_time;
  if (c.attempt > 0 &&
      exit.finish_time - c.info->start_time < kHealthySidecarRun) {
    next += kSidecarBackoff.Delay(c.attempt - 1, 0);
  }
  if (next <= view.now) return Do(Kind::kRestart, {i});
  return Wait(next);
}

// The next container whose limits may be set; else `wait`, but until one may.
Step Update(const ReplicaView& view, Step wait) {
  for (size_t i = 0; i < view.containers.size(); ++i) {
    const ContainerView& c = view.containers[i];
    if (!c.Running() || !c.outdated) continue;
    if (c.update_at <= view.now) return Do(Kind::kUpdate, {i});
    wait.wake_at = std::min(wait.wake_at, c.update_at);
  }
  return wait;
}

// One step towards all containers running.
Step BringUp(const ReplicaView& view) {
  const bool up = view.replica.status().state() == State::RUNNING;
  Step wait = Wait();
  for (size_t i = 0; i < view.containers.size(); ++i) {
    const ContainerView& c = view.containers[i];
    if (c.role == ContainerRole::kInit) {
      if (up || c.Exited()) continue;
      if (c.Running()) return Wait();
      return Do(Kind::kStart, {i});
    }
    if (c.role == ContainerRole::kSidecar) {
      std::optional<Step> step = Sidecar(view, i);
      if (!step.has_value()) continue;
      if (step->kind != Kind::kWait) return *step;
      wait.wake_at = std::min(wait.wake_at, step->wake_at);
      continue;
    }
    if (c.info.has_value()) continue;
    if (up) {
      return Fail(view, "ShimLost",
                  absl::StrCat(c.name, ": the engine has no record of it"), i);
    }
    return Do(Kind::kStart, {i});
  }
  if (!up) return Enter(State::RUNNING);
  return Update(view, std::move(wait));
}

Step Run(const ReplicaView& view) {
  const v1::ReplicaStatus& status = view.replica.status();
  if (status.liveness_failed()) {
    return Fail(
        view, "LivenessFailed",
        absl::StrCat("liveness probe failed: ", status.probe_message()));
  }
  if (std::optional<size_t> i = Culprit(view); i.has_value()) {
    const ContainerView& c = view.containers[*i];
    return Fail(
        view, ExitReason(c.info->exit),
        absl::StrCat(
            c.name, " ", ExitSentence(c.info->exit),
            c.info->exit.oom_killed ? "; resources.memory gives it more" : ""),
        i);
  }
  if (std::optional<size_t> i = Completer(view); i.has_value()) {
    return Complete(view, *i);
  }
  if (status.state() == State::PENDING ||
      status.state() == State::STATE_UNSPECIFIED) {
    return Enter(State::STARTING);
  }
  return BringUp(view);
}

Step Drain(const ReplicaView& view) {
  const v1::ReplicaStatus& status = view.replica.status();
  const absl::Time since = ToTime(status.state_time());
  const bool brief = view.replica.spec().skip_drain() ||
                     (!status.has_ready_time() && view.active_connections <= 0);
  const absl::Duration limit =
      brief ? absl::ZeroDuration() : view.drain_timeout;
  const absl::Time over = since + limit;
  if (view.is_out) {
    if (view.active_connections == 0 || view.now >= over) {
      return Enter(State::STOPPING);
    }
    return Wait(over);
  }
  if (view.now >= over + kDataPlaneGrace) return Enter(State::STOPPING);
  return Wait(over + kDataPlaneGrace);
}

// What the hooks of `group`, which is about to be signalled, ask for first.
std::optional<Step> Hooks(const ReplicaView& view,
                          const std::vector<size_t>& group,
                          absl::Time deadline) {
  std::vector<size_t> waiting;
  bool running = false;
  for (size_t i : group) {
    const ContainerView& c = view.containers[i];
    if (c.hook == ContainerView::Hook::kWaiting) waiting.push_back(i);
    running |= c.hook == ContainerView::Hook::kRunning;
  }
  const std::string& told = view.replica.status().reason();
  const bool cut_off = !told.empty() && !view.hooks_are_ours;
  // Cut off twice: it goes on without them.
  if (!waiting.empty() && !(cut_off && told == kPreStopAgain)) {
    Step step = Do(Kind::kHook, std::move(waiting));
    step.reason = cut_off || told == kPreStopAgain ? kPreStopAgain : kPreStop;
    return step;
  }
  if (running) return Wait(deadline);
  return std::nullopt;
}

Step Terminate(const ReplicaView& view) {
  const absl::Time deadline =
      ToTime(view.replica.status().state_time()) + view.stop_timeout;
  if (view.now >= deadline) return Do(Kind::kKill, Running(view));
  std::vector<size_t> running = Where(view, [](const ContainerView& c) {
    return c.Running() && c.role != ContainerRole::kSidecar;
  });
  // Sidecars serve the others to their end.
  if (running.empty()) running = Running(view);
  if (std::optional<Step> step = Hooks(view, running, deadline)) return *step;
  std::vector<size_t> fresh;
  for (size_t i : running) {
    if (!view.containers[i].signalled) fresh.push_back(i);
  }
  if (!fresh.empty()) return Do(Kind::kSignal, std::move(fresh));
  return Wait(deadline);
}

// What was wrong with a replica of a revision that was given up: nothing else
// of it stays.
Step Stopped(const ReplicaView& view) {
  Step step = End(State::STOPPED, view.replica.spec().reason(), "");
  if (step.reason != "RolledBack") return step;
  const v1::ReplicaStatus& status = view.replica.status();
  step.message = status.has_ready_time() || status.probe_message().empty()
                     ? "its revision was rolled back"
                     : absl::StrCat(
                           "its revision was rolled back; it was not "
                           "ready: ",
                           status.probe_message());
  const std::vector<size_t> ended = Where(view, [](const ContainerView& c) {
    return c.role == ContainerRole::kMain && c.Exited();
  });
  if (!ended.empty()) step.culprit = ended.front();
  return step;
}

Step Stop(const ReplicaView& view) {
  const v1::ReplicaStatus& status = view.replica.status();
  if (std::optional<size_t> i = Completer(view); i.has_value()) {
    // It was not cut short if it was over before it could be told to stop.
    const absl::Time end = view.containers[*i].info->exit.finish_time;
    if (status.state() != State::STOPPING ||
        end < ToTime(status.state_time())) {
      return Complete(view, *i);
    }
  }
  if (Running(view).empty()) return Stopped(view);
  const bool serving =
      !IsJob(view) &&
      std::any_of(view.containers.begin(), view.containers.end(),
                  [](const ContainerView& c) {
                    return c.role == ContainerRole::kMain && c.Running();
                  });
  switch (status.state()) {
    case State::STOPPING:
      return Terminate(view);
    case State::DRAINING:
      return serving ? Drain(view) : Enter(State::STOPPING);
    case State::RUNNING:
      return Enter(serving ? State::DRAINING : State::STOPPING);
    default:  // it never served
      return Enter(State::STOPPING);
  }
}

}  // namespace

Step NextStep(const ReplicaView& view) {
  const State::State state = view.replica.status().state();
  if (state == State::FAILED || state == State::STOPPED) return Wait();
  if (view.replica.spec().goal() == v1::ReplicaSpec::STOP) return Stop(view);
  return Run(view);
}

std::string ExitReason(const engine::ExitInfo& exit) {
  if (!exit.launch_error.empty()) return "LaunchFailed";
  if (!exit.unknown_reason.empty()) {
    return absl::StrContains(exit.unknown_reason, "reboot") ? "HostReboot"
                                                            : "ShimLost";
  }
  if (exit.oom_killed) return "OOMKilled";
  return exit.code == 0 ? "Completed" : "Error";
}

std::string ExitSentence(const engine::ExitInfo& exit) {
  if (!exit.launch_error.empty()) {
    return absl::StrCat("could not be started: ", exit.launch_error);
  }
  if (!exit.unknown_reason.empty()) {
    return absl::StrCat("ended unseen: ", exit.unknown_reason);
  }
  if (exit.oom_killed) return "was killed: out of memory";
  if (exit.signal != 0) {
    return absl::StrCat("was killed by signal ", exit.signal);
  }
  return absl::StrCat("exited with status ", exit.code);
}

}  // namespace bulwark::scheduler
