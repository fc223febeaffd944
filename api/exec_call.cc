#include "api/exec_call.h"

#include <sys/eventfd.h>

#include <csignal>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "api/audit/describe.h"
#include "api/container_lookup.h"
#include "api/convert.h"
#include "api/errors.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/program_error.h"

namespace bulwark::api {
namespace {

constexpr int kMostCalls = 128;
constexpr absl::Duration kFirstMessage = absl::Seconds(10);

// A write to a process that reads no more is an error here, not the end of the
// daemon.
void BlockSigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

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
  return spec;
}

// The engine knows containers by ids that nobody else needs.
absl::Status InWordsOfUsers(const absl::Status& status,
                            const ContainerRef& container) {
  return absl::Status(
      status.code(),
      absl::StrReplaceAll(status.message(),
                          {{absl::StrCat("container ", container.id),
                            absl::StrCat("container ", container.container,
                                         " of ", container.replica)}}));
}

v1::ExecResponse ExitCode(int code) {
  v1::ExecResponse response;
  response.set_exit_code(code);
  return response;
}

}  // namespace

bool ExecCalls::Enter() {
  absl::MutexLock lock(&mu_);
  if (count_ >= kMostCalls) return false;
  ++count_;
  return true;
}

void ExecCalls::Leave() {
  absl::MutexLock lock(&mu_);
  --count_;
}

void ExecCalls::AwaitNone() {
  const auto none = [this]()
                        ABSL_NO_THREAD_SAFETY_ANALYSIS { return count_ == 0; };
  absl::MutexLock lock(&mu_, absl::Condition(&none));
}

ExecCall* ExecCall::Start(const Environment& environment) {
  auto* call = new ExecCall(environment);
  call->StartRead(&call->incoming_);
  std::thread([call] { call->Run(); }).detach();
  return call;
}

ExecCall::ExecCall(const Environment& environment)
    : environment_(environment), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(wake_.ok());
}

void ExecCall::Run() {
  BlockSigpipe();
  const absl::Status status = RunProcess();
  environment_.caller.record()->End(status);
  Finish(ToGrpc(status));
  Unref();
}

absl::Status ExecCall::RunProcess() {
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
  RETURN_IF_ERROR(CheckRight());
  ASSIGN_OR_RETURN(const engine::ExecSpec spec, SpecOf(first->start()));
  ASSIGN_OR_RETURN(const ContainerRef target,
                   FindExecTarget(environment_.store, first->start()));
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
  if (spec.terminal && first->start().has_size()) {
    // A size that cannot be set is no reason not to run.
    session
        ->Resize(static_cast<int>(first->start().size().rows()),
                 static_cast<int>(first->start().size().columns()))
        .IgnoreError();
  }
  const absl::Status status = PumpExec(*this, *session);
  if (absl::IsCancelled(status) && environment_.stopper.stopping()) {
    return absl::UnavailableError("run a command: the daemon is stopping");
  }
  if (absl::IsCancelled(status)) RETURN_IF_ERROR(CheckRight());
  return status;
}

absl::Status ExecCall::CheckRight() const {
  if (project_.empty()) return absl::OkStatus();  // nothing runs yet
  return environment_.caller.Require(Right::kExec, project_, "run a command");
}

std::optional<v1::ExecRequest> ExecCall::ReceiveFirst() {
  const auto news = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return has_request_ || input_ended_ || cancelled_;
  };
  {
    absl::MutexLock lock(&mu_);
    environment_.clock.AwaitUntil(mu_, absl::Condition(&news),
                                  environment_.clock.Steady() + kFirstMessage);
  }
  return Receive().request;
}

ExecCall::Inbox ExecCall::Receive() {
  Inbox inbox;
  eventfd_t ignored;
  eventfd_read(wake_.get(), &ignored);
  const bool allowed = CheckRight().ok();
  {
    absl::MutexLock lock(&mu_);
    inbox.input_ended = input_ended_;
    inbox.cancelled = cancelled_ || !allowed || environment_.stopper.stopping();
    if (!has_request_) return inbox;
    has_request_ = false;
  }
  inbox.request = std::move(incoming_);
  StartRead(&incoming_);
  return inbox;
}

bool ExecCall::Cancelled() {
  absl::MutexLock lock(&mu_);
  return cancelled_ || environment_.stopper.stopping();
}

bool ExecCall::Send(const v1::ExecResponse& response) {
  {
    absl::MutexLock lock(&mu_);
    if (cancelled_ || write_failed_) return false;
    writing_ = true;
  }
  outgoing_ = response;
  StartWrite(&outgoing_);
  // A client that is gone fails the write, one that is slow is waited for.
  const auto written = [this]()
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return !writing_; };
  absl::MutexLock lock(&mu_, absl::Condition(&written));
  return !write_failed_;
}

void ExecCall::OnReadDone(bool ok) {
  absl::MutexLock lock(&mu_);
  (ok ? has_request_ : input_ended_) = true;
  eventfd_write(wake_.get(), 1);
}

void ExecCall::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) write_failed_ = true;
}

void ExecCall::OnCancel() {
  absl::MutexLock lock(&mu_);
  cancelled_ = true;
  eventfd_write(wake_.get(), 1);
}

void ExecCall::Unref() {
  if (--references_ > 0) return;
  ExecCalls& calls = environment_.calls;
  delete this;
  calls.Leave();
}

}  // namespace bulwark::api
