#include "ctl/wait.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

bool IsTrue(const v1::Condition* condition) {
  return condition != nullptr && condition->status() == v1::Condition::TRUE;
}

// Whether somebody has to do something about the image; other trouble may pass
// by itself.
bool IsImageFault(absl::string_view reason) {
  return reason == "ImageNotFound" || reason == "InvalidReference" ||
         reason == "NoMatchingPlatform" || reason == "RegistryDenied";
}

Judgement JudgeService(const v1::Service& service) {
  const v1::ServiceStatus& status = service.status();
  if (service.metadata().has_delete_time()) {
    return {Verdict::kFailed, "is being deleted"};
  }
  if (status.observed_generation() < service.metadata().generation()) {
    return {Verdict::kWaiting, "waiting for the scheduler"};
  }
  if (service.spec().stopped()) {
    if (status.replicas() == 0) return {Verdict::kDone, "stopped"};
    return {Verdict::kWaiting,
            absl::StrCat(status.replicas(), status.replicas() == 1
                                                ? " replica is stopping"
                                                : " replicas are stopping")};
  }
  const v1::Condition* rolled_back =
      FindCondition(status.conditions(), "RolledBack");
  if (IsTrue(rolled_back)) {
    return {Verdict::kFailed,
            absl::StrCat("rolled back: ", rolled_back->message())};
  }
  const v1::Condition* resolved =
      FindCondition(status.conditions(), "ImageResolved");
  const bool unresolved =
      resolved != nullptr && resolved->status() == v1::Condition::FALSE;
  if (unresolved && IsImageFault(resolved->reason())) {
    return {Verdict::kFailed, resolved->message()};
  }
  // While images are resolved, the counts still speak of the old revision.
  const v1::Condition* progressing =
      FindCondition(status.conditions(), "Progressing");
  const int desired = status.desired_replicas();
  // Whoever waits wants to reach the service.
  const v1::Condition* ports = FindCondition(status.conditions(), "PortsOpen");
  const bool closed =
      ports != nullptr && ports->status() == v1::Condition::FALSE;
  // Containers that run are given other limits after the revision has them.
  const v1::Condition* limits =
      FindCondition(status.conditions(), "LimitsApplied");
  const bool limiting =
      limits != nullptr && limits->status() == v1::Condition::UNKNOWN;
  const bool refused =
      limits != nullptr && limits->status() == v1::Condition::FALSE;
  if (!closed && !limiting && !IsTrue(progressing) &&
      status.updated_replicas() >= desired &&
      status.available_replicas() >= desired && status.replicas() <= desired) {
    return {Verdict::kDone,
            absl::StrCat("revision ", status.revision(), " is available, ",
                         status.ready_replicas(), " of ", desired,
                         desired == 1 ? " replica ready" : " replicas ready",
                         refused ? "; " : "",
                         refused ? limits->message() : std::string())};
  }
  if (progressing != nullptr &&
      progressing->reason() == "ProgressDeadlineExceeded") {
    return {Verdict::kFailed, progressing->message()};
  }
  const v1::Condition* available =
      FindCondition(status.conditions(), "Available");
  if (available != nullptr && available->reason() == "Ended") {
    return {Verdict::kFailed, available->message()};
  }
  std::string message =
      absl::StrCat(status.updated_replicas(), " of ", desired, " updated, ",
                   status.ready_replicas(), " ready, ",
                   status.available_replicas(), " available");
  const v1::Condition* inputs =
      FindCondition(status.conditions(), "InputsReady");
  // The condition repeats the counts; what follows them is the cause.
  if (unresolved) {
    absl::StrAppend(&message, "; ", resolved->message());
  } else if (inputs != nullptr && inputs->status() == v1::Condition::FALSE) {
    absl::StrAppend(&message, "; ", inputs->message());
  } else if (closed) {
    absl::StrAppend(&message, "; ", ports->message());
  } else if (limiting) {
    absl::StrAppend(&message, "; ", limits->message());
  } else if (available != nullptr) {
    const size_t cause = available->message().find("; ");
    if (cause != std::string::npos) {
      absl::StrAppend(&message, available->message().substr(cause));
    }
  } else if (IsTrue(progressing)) {
    absl::StrAppend(&message, "; ", progressing->message());
  }
  return {Verdict::kWaiting, message};
}

Judgement JudgeJob(const v1::Job& job) {
  if (job.metadata().has_delete_time()) {
    return {Verdict::kFailed, "is being deleted"};
  }
  for (const v1::Condition& c : job.status().conditions()) {
    if (c.status() != v1::Condition::TRUE) continue;
    if (c.type() == "Complete" || c.type() == "Completed") {
      return {Verdict::kDone, "completed"};
    }
    if (c.type() == "Failed") {
      return {Verdict::kFailed, absl::StrCat("failed: ", c.message())};
    }
  }
  if (job.status().has_completion_time() &&
      job.status().succeeded() >= std::max(1, job.spec().completions())) {
    return {Verdict::kDone, "completed"};
  }
  const v1::Condition* resolved =
      FindCondition(job.status().conditions(), "ImageResolved");
  const bool unresolved =
      resolved != nullptr && resolved->status() == v1::Condition::FALSE;
  if (unresolved && IsImageFault(resolved->reason())) {
    return {Verdict::kFailed, resolved->message()};
  }
  const v1::Condition* progressing =
      FindCondition(job.status().conditions(), "Progressing");
  std::string why;
  if (unresolved) {
    why = resolved->message();
  } else if (progressing != nullptr &&
             progressing->status() == v1::Condition::FALSE) {
    why = progressing->message();
  }
  return {Verdict::kWaiting,
          absl::StrCat(job.status().succeeded(), " of ",
                       std::max(1, job.spec().completions()), " completed, ",
                       job.status().active(), " running",
                       why.empty() ? "" : "; ", why)};
}

// One watch; OK when the judge is done.
absl::Status WatchOnce(Context& context, const v1::WatchRequest& request,
                       absl::Time deadline,
                       const std::function<bool(const v1::Object*)>& judge,
                       bool& done, bool& timed_out) {
  bool seen = false;
  absl::Status status = context.client().Watch(
      request, deadline, [&](const v1::WatchEvent& event) {
        switch (event.type()) {
          case v1::WatchEvent::ADDED:
          case v1::WatchEvent::MODIFIED:
            seen = true;
            done = judge(&event.object());
            break;
          case v1::WatchEvent::DELETED:
            done = judge(nullptr);
            break;
          case v1::WatchEvent::SYNCED:
            if (!seen) done = judge(nullptr);
            break;
          default:
            break;
        }
        return !done;
      });
  timed_out = status.code() == absl::StatusCode::kDeadlineExceeded;
  return timed_out ? absl::OkStatus() : status;
}

}  // namespace

absl::Status WaitFor(Context& context, const manifest::Kind& kind,
                     const std::string& project, const std::string& name,
                     absl::Time deadline, bool quiet, const Judge& judge) {
  v1::WatchRequest request;
  request.set_kind(kind.api_name);
  request.set_project(project);
  request.set_name(name);
  Judgement last;
  bool last_exists = false;
  auto on_object = [&](const v1::Object* object) {
    last_exists = object != nullptr;
    Judgement next = judge(object);
    const bool news = next.message != last.message;
    last = std::move(next);
    if (news && !quiet && last.verdict != Verdict::kFailed &&
        !last.message.empty()) {
      context.io.Err(
          absl::StrCat(kind.api_name, " ", name, ": ", last.message, "\n"));
    }
    return last.verdict != Verdict::kWaiting;
  };
  bool done = false, timed_out = false;
  while (!done && !timed_out) {
    absl::Status status =
        WatchOnce(context, request, deadline, on_object, done, timed_out);
    if (done || timed_out) break;
    // The daemon restarts, or the watch was too slow for the change log.
    if (status.code() != absl::StatusCode::kUnavailable &&
        status.code() != absl::StatusCode::kOutOfRange) {
      return status;
    }
    if (context.clock.Now() >= deadline) return status;
    context.client().AwaitConnection();
  }
  const std::string who = absl::StrCat(kind.api_name, " ", name, ": ");
  if (timed_out && !done) {
    return WithRemedy(
        TimeoutError(absl::StrCat(who, "timed out: ", last.message)),
        absl::StrCat("ctl describe ", kind.api_name, " ", name,
                     " says more; --timeout waits longer"));
  }
  if (last.verdict == Verdict::kFailed && !last_exists) {
    return absl::NotFoundError(absl::StrCat(who, last.message));
  }
  if (last.verdict == Verdict::kFailed) {
    return WithRemedy(
        absl::FailedPreconditionError(absl::StrCat(who, last.message)),
        kind.api_name == "service"
            ? absl::StrCat("ctl describe service ", name, " and ctl logs ",
                           name, " say more")
            : absl::StrCat("ctl describe ", kind.api_name, " ", name,
                           " says more"));
  }
  return absl::OkStatus();
}

Judgement JudgeAvailable(const v1::Object* object) {
  if (object == nullptr) return {Verdict::kFailed, "does not exist"};
  if (object->has_service()) return JudgeService(object->service());
  if (object->has_job()) return JudgeJob(object->job());
  return {Verdict::kDone, "exists"};
}

Judgement JudgeDeleted(const v1::Object* object) {
  if (object == nullptr) return {Verdict::kDone, "deleted"};
  return {Verdict::kWaiting, "still there"};
}

}  // namespace bulwark::ctl
