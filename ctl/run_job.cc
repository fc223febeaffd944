// ctl run with a terminal or with input: a job of one execution.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/attach.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/run.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(2);
constexpr absl::Duration kRemoveTimeout = absl::Minutes(2);
constexpr int kExitInterrupted = 130;

absl::Status Delete(Context& context, const v1::Job& job, bool wait) {
  v1::DeleteRequest request;
  v1::ObjectReference& reference = *request.add_objects();
  reference.set_kind("job");
  reference.set_project(job.metadata().project());
  reference.set_name(job.metadata().name());
  const absl::Status status = context.client().Delete(request).status();
  // Its time may have come meanwhile.
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (!status.ok() || !wait) return status;
  return WaitFor(context, *manifest::FindKind("job"), job.metadata().project(),
                 job.metadata().name(), context.clock.Now() + kRemoveTimeout,
                 true, JudgeDeleted);
}

// What `run -d` says once it runs, or never will.
absl::StatusOr<int> Background(Context& context, const std::string& name,
                               const absl::StatusOr<AttachEnd>& end) {
  if (!end.ok()) return end.status();
  if (end->exit && !end->exit->message().empty()) {
    return ReportExit(context, name, *end->exit);
  }
  if (end->interrupted) {
    return WithRemedy(absl::DeadlineExceededError(
                          absl::StrCat("run ", name, ": it does not run yet")),
                      absl::StrCat("ctl describe job ", name, " says why"));
  }
  context.io.Out(absl::StrCat(name, "\n"));
  return kExitOk;
}

}  // namespace

absl::StatusOr<int> FollowJob(Context& context, const v1::Job& job,
                              SignalPoll& signals, const RunFlags& flags) {
  const std::string& name = job.metadata().name();
  AttachOptions options;
  ASSIGN_OR_RETURN(options.keys, DetachKeys::Parse(flags.detach_keys));
  options.start.set_project(job.metadata().project());
  options.start.set_target(absl::StrCat("job/", name));
  options.start.set_await(true);
  options.start.set_replay(!flags.detach);
  options.start.set_owner(!flags.detach);
  options.input = flags.interactive && !flags.detach;
  if (flags.detach) options.leave_within = context.Timeout(kStartTimeout);
  options.persist = true;
  options.what = name;
  const absl::StatusOr<AttachEnd> end =
      RunAttach(context, signals, std::move(options));
  if (flags.detach) return Background(context, name, end);
  if (!end.ok()) {
    Delete(context, job, false).IgnoreError();  // the error says more
    return end.status();
  }
  if (end->detached) {
    context.io.Err(absl::StrCat("\r\ndetached; ctl attach ", name,
                                " comes back, ctl delete job ", name,
                                " ends it\n"));
    return kExitOk;
  }
  if (!flags.keep || !end->exit) {
    RETURN_IF_ERROR(Delete(context, job, !end->interrupted));
  }
  if (!end->exit) return kExitInterrupted;
  return ReportExit(context, name, *end->exit);
}

}  // namespace bulwark::ctl
