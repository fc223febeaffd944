#include "api/attach_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "api/convert.h"
#include "api/record_target.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(20);
// Between the last word of a container and the engine's word of its exit.
constexpr absl::Duration kExitTimeout = absl::Seconds(10);

absl::Status Gone() { return absl::CancelledError("client is gone"); }

}  // namespace

v1::ExitResult ToExitResult(const engine::ExitInfo& exit) {
  v1::ExitResult result;
  result.set_exit_code(exit.code);
  result.set_oom_killed(exit.oom_killed);
  result.set_message(exit.launch_error.empty() ? exit.unknown_reason
                                               : exit.launch_error);
  return result;
}

AttachCall* AttachCall::Start(const Environment& environment) {
  auto* call = new AttachCall(environment);
  call->Begin();
  return call;
}

AttachCall::AttachCall(const Environment& environment)
    : StreamCall(environment.clock, environment.stopper, environment.calls),
      environment_(environment) {}

absl::Status AttachCall::Allowed() const {
  if (project_.empty()) return absl::OkStatus();  // nothing is known yet
  return environment_.caller.Require(Right::kExec, project_,
                                     "attach to a container");
}

void AttachCall::Note(const absl::Status& status) {
  environment_.caller.record()->End(status);
}

absl::Status AttachCall::Process() {
  const std::optional<v1::AttachRequest> first = ReceiveFirst();
  if (!first.has_value()) {
    return absl::DeadlineExceededError(
        "attach to a container: the client did not say to which");
  }
  if (!first->has_start()) {
    return absl::InvalidArgumentError(
        "attach to a container: the first message must start it");
  }
  start_ = first->start();
  project_ = ProjectOr(start_.project());
  CallRecord& record = *environment_.caller.record();
  record.record() =
      Describe(record.record().method(), environment_.caller, &start_);
  RETURN_IF_ERROR(Allowed());
  RETURN_IF_ERROR(record.Begin());
  ASSIGN_OR_RETURN(const ContainerTarget target, AwaitTarget());
  ReferToReplica(environment_.store, project_, target.replica.metadata().name(),
                 environment_.caller);
  // Of one that could not be started there is a status, too.
  const bool ran = target.status.running() || target.status.has_finish_time();
  absl::Status status = !ran ? SendNeverRun(target) : AttachTo(target.Ref());
  if (absl::IsCancelled(status) && stopping()) {
    return absl::UnavailableError(
        "attach to a container: the daemon is stopping");
  }
  if (absl::IsCancelled(status)) RETURN_IF_ERROR(Allowed());
  return status;
}

absl::StatusOr<ContainerTarget> AttachCall::AwaitTarget() {
  for (;;) {
    ASSIGN_OR_RETURN(ContainerTarget target,
                     FindTarget(environment_.store, project_, start_.target(),
                                start_.container(), true));
    if (!target.status.id().empty() &&
        (target.status.running() || target.status.has_finish_time())) {
      return target;
    }
    if (target.replica_ended || target.owner_ended) return target;
    if (!start_.await()) {
      return absl::FailedPreconditionError(
          absl::StrCat("attach to ", start_.target(), ": nothing of it runs"));
    }
    if (Cancelled()) return Gone();
    environment_.clock.Sleep(kPoll);
  }
}

absl::Status AttachCall::SendNeverRun(const ContainerTarget& target) {
  if (!start_.await()) {
    return absl::FailedPreconditionError(
        absl::StrCat("attach to ", start_.target(), ": it has ended"));
  }
  v1::AttachResponse response;
  v1::ExitResult& exit = *response.mutable_exit();
  exit.set_exit_code(target.status.exit_code() != 0 ? target.status.exit_code()
                                                    : 125);
  std::string message = target.replica.status().message();
  if (message.empty()) message = target.message;
  exit.set_message(message.empty() ? "it was not started" : message);
  return Send(response) ? absl::OkStatus() : Gone();
}

absl::Status AttachCall::AttachTo(const ContainerRef& container) {
  engine::AttachOptions options;
  options.input = !start_.no_input();
  options.replay = start_.replay();
  options.patient = start_.owner();
  auto attached = environment_.access.Attach(container.id, options);
  const absl::StatusOr<engine::ContainerInfo> info =
      attached.ok() ? engine::ContainerInfo()
                    : environment_.engine.Inspect(container.id);
  const bool ended = !attached.ok() && info.ok() &&
                     info->state == engine::ContainerState::kExited;
  if (ended && start_.await()) {
    if (start_.replay()) RETURN_IF_ERROR(SendLog(container));
    return SendExit(container);
  }
  if (!attached.ok()) return InWordsOfUsers(attached.status(), container);
  engine::AttachSession& session = **attached;
  v1::AttachResponse response;
  v1::AttachReady& ready = *response.mutable_ready();
  ready.set_replica(container.replica);
  ready.set_container(container.container);
  ready.set_terminal(session.terminal());
  ready.set_stdin(session.has_input());
  if (!Send(response)) return Gone();
  if (session.terminal() && start_.has_size()) {
    // A size that cannot be set is no reason not to attach.
    session
        .Resize(static_cast<int>(start_.size().rows()),
                static_cast<int>(start_.size().columns()))
        .IgnoreError();
  }
  bool left = false;
  const absl::Status status =
      PumpAttach(*this, session, environment_.engine, container.id,
                 options.input && session.has_input(), &left);
  // Nobody will write any more. Not if we are the ones who go.
  if (absl::IsCancelled(status) && start_.owner() && !stopping()) {
    session.CloseInput().IgnoreError();
  }
  if (!status.ok() || left) return InWordsOfUsers(status, container);
  return SendExit(container);
}

absl::Status AttachCall::SendLog(const ContainerRef& container) {
  absl::StatusOr<std::unique_ptr<engine::LogReader>> reader =
      environment_.engine.Logs(container.id, {});
  while (reader.ok()) {
    absl::StatusOr<engine::LogEntry> entry =
        (*reader)->Next(absl::ZeroDuration());
    if (!entry.ok()) break;  // how it ended is what matters
    v1::AttachResponse response;
    if (!entry->partial) entry->line.push_back('\n');
    (entry->is_stderr ? *response.mutable_error()
                      : *response.mutable_output()) = std::move(entry->line);
    if (!Send(response)) return Gone();
  }
  return absl::OkStatus();
}

absl::Status AttachCall::SendExit(const ContainerRef& container) {
  const absl::Duration deadline = environment_.clock.Steady() + kExitTimeout;
  for (;;) {
    const absl::StatusOr<engine::ContainerInfo> info =
        environment_.engine.Inspect(container.id);
    if (!info.ok()) return InWordsOfUsers(info.status(), container);
    if (info->state == engine::ContainerState::kExited) {
      v1::AttachResponse response;
      *response.mutable_exit() = ToExitResult(info->exit);
      return Send(response) ? absl::OkStatus() : Gone();
    }
    if (environment_.clock.Steady() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat("attach to ", start_.target(),
                       ": its output has ended, its exit is not known yet"));
    }
    environment_.clock.Sleep(absl::Milliseconds(2));
  }
}

}  // namespace bulwark::api
