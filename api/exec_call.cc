#include "api/exec_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "api/container_lookup.h"
#include "api/convert.h"
#include "api/record_target.h"
#include "base/status.h"
#include "engine/program_error.h"

namespace bulwark::api {
namespace {

absl::StatusOr<engine::ExecSpec> SpecOf(const v1::ExecStart& start) {
  engine::ExecSpec spec;
  spec.args.assign(start.command().begin(), start.command().end());
  if (spec.args.empty() || spec.args[0].empty()) {
    return absl::InvalidArgumentError("run a command: it is empty");
  }
  spec.env.assign(start.env().begin(), start.env().end());
  for (const std::string& variable : spec.env) {
    if (variable.find('=') == std::string::npos || variable[0] == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("run a command: \"", variable, "\" is not NAME=VALUE"));
    }
  }
  spec.user = start.user();
  spec.cwd = start.working_dir();
  spec.terminal = start.terminal();
  spec.detach = start.detach();
  if (spec.detach && spec.terminal) {
    return absl::InvalidArgumentError(
        "run a command: one that is left alone has no terminal");
  }
  spec.size = {start.size().rows(), start.size().columns()};
  return spec;
}

v1::ExecResponse ExitCode(int code) {
  v1::ExecResponse response;
  response.set_exit_code(code);
  return response;
}

}  // namespace

ExecCall* ExecCall::Start(const Environment& environment) {
  auto* call = new ExecCall(environment);
  call->Begin();
  return call;
}

ExecCall::ExecCall(const Environment& environment)
    : StreamCall(environment.clock, environment.stopper, environment.calls),
      environment_(environment) {}

void ExecCall::Note(const absl::Status& status) {
  environment_.caller.record()->End(status);
}

absl::Status ExecCall::Process() {
  const std::optional<v1::ExecRequest> first = ReceiveFirst();
  if (!first.has_value()) {
    return absl::DeadlineExceededError(
        "run a command: the client did not say which");
  }
  if (!first->has_start()) {
    return absl::InvalidArgumentError(
        "run a command: the first message must start it");
  }
  project_ = ProjectOr(first->start().project());
  CallRecord& record = *environment_.caller.record();
  record.record() =
      Describe(record.record().method(), environment_.caller, &first->start());
  RETURN_IF_ERROR(Allowed());
  ASSIGN_OR_RETURN(const engine::ExecSpec spec, SpecOf(first->start()));
  ASSIGN_OR_RETURN(const ContainerRef target,
                   FindExecTarget(environment_.store, first->start()));
  ReferToReplica(environment_.store, project_, target.replica,
                 environment_.caller);
  RETURN_IF_ERROR(record.Begin());
  absl::StatusOr<std::unique_ptr<engine::ExecSession>> started =
      environment_.engine.Exec(target.id, spec);
  if (!started.ok()) {
    // The status says why it did not run, the code what a shell would say.
    const std::optional<int> code = engine::ProgramErrorOf(started.status());
    if (code.has_value()) Send(ExitCode(*code));
    return InWordsOfUsers(started.status(), target);
  }
  const std::unique_ptr<engine::ExecSession> session = *std::move(started);
  if (spec.detach) return absl::OkStatus();
  const absl::Status status = PumpExec(*this, *session);
  if (absl::IsCancelled(status) && stopping()) {
    return absl::UnavailableError("run a command: the daemon is stopping");
  }
  if (absl::IsCancelled(status)) RETURN_IF_ERROR(Allowed());
  return status;
}

absl::Status ExecCall::Allowed() const {
  if (project_.empty()) return absl::OkStatus();  // nothing runs yet
  return environment_.caller.Require(Right::kExec, project_, "run a command");
}

}  // namespace bulwark::api
