#include "scheduler/jobs/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/backoff.h"
#include "scheduler/conditions.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr Backoff kJobBackoff{absl::Seconds(10), absl::Minutes(6), 0};
constexpr int kDefaultBackoffLimit = 6;
// How long a dependency's change may be missed.
constexpr absl::Duration kDependencyPoll = absl::Seconds(1);

constexpr v1::Condition::Status kTrue = v1::Condition::TRUE;
constexpr v1::Condition::Status kFalse = v1::Condition::FALSE;

std::string Executions(int count) {
  return absl::StrCat(count, count == 1 ? " execution" : " executions");
}

class JobPlanner {
 public:
  explicit JobPlanner(const JobView& view) : view_(view) {
    plan_.status = view.job.status();
    for (const v1::Replica& r : view_.executions) {
      if (HasEnded(r)) {
        ended_.push_back(&r);
      } else if (r.spec().goal() == v1::ReplicaSpec::STOP) {
        leaving_.push_back(&r);
      } else {
        wanted_.push_back(&r);
      }
    }
    ChooseRevision();
  }

  JobPlan Run() {
    Count();
    Judge();
    if (deleting()) {
      StopAll("Deleted");
      plan_.deleted = view_.executions.empty();
    } else if (finished()) {
      StopAll("JobFinished");
      Expire();
    } else if (spec().suspend()) {
      Suspend();
    } else if (view_.shutting_down) {
      StopAll("HostShutdown");
      Progress(kFalse, "HostShutdown", "the host shuts down");
    } else if (!view_.held.empty()) {
      StopAll("Held");
      Progress(kFalse, "Held", view_.held);
    } else {
      GoOn();
    }
    Revisions();
    Finish();
    if (plan_.wake_at <= view_.now) plan_.wake_at = absl::InfiniteFuture();
    return std::move(plan_);
  }

 private:
  const v1::JobSpec& spec() const { return view_.job.spec(); }
  bool deleting() const { return view_.job.metadata().has_delete_time(); }
  bool finished() const { return Holds("Complete") || Holds("Failed"); }
  int completions() const { return std::max(1, spec().completions()); }
  int parallelism() const { return std::max(1, spec().parallelism()); }
  int backoff_limit() const {
    return spec().has_backoff_limit() ? spec().backoff_limit()
                                      : kDefaultBackoffLimit;
  }
  int live() const {
    return static_cast<int>(wanted_.size() + leaving_.size());
  }

  bool Holds(const char* type) const {
    const v1::Condition* c = FindCondition(plan_.status.conditions(), type);
    return c != nullptr && c->status() == kTrue;
  }
  void Set(const char* type, v1::Condition::Status status, const char* reason,
           std::string message) {
    v1::Condition condition;
    condition.set_type(type);
    condition.set_status(status);
    condition.set_reason(reason);
    condition.set_message(std::move(message));
    SetCondition(*plan_.status.mutable_conditions(), std::move(condition),
                 view_.now);
  }
  void Progress(v1::Condition::Status status, const char* reason,
                std::string message) {
    Set("Progressing", status, reason, std::move(message));
  }
  void Wake(absl::Time t) { plan_.wake_at = std::min(plan_.wake_at, t); }
  void Tell(const char* reason, std::string message,
            v1::Event::Severity severity = v1::Event::NORMAL) {
    plan_.events.push_back({reason, std::move(message), severity});
  }

  // The newest with the declared template.
  void ChooseRevision() {
    const v1::Template declared = TemplateOf(spec());
    for (const v1::Revision& r : view_.revisions) {
      if (!SameTemplate(r.template_(), declared)) continue;
      if (revision_ == nullptr || r.number() > revision_->number()) {
        revision_ = &r;
      }
    }
  }

  void Count() {
    for (const v1::Replica* r : ended_) {
      if (IsCounted(*r)) continue;
      plan_.count.push_back(r->metadata().uid());
      plan_.durable_status = true;
      const Outcome outcome = OutcomeOf(*r);
      if (outcome == Outcome::kSucceeded) {
        plan_.status.set_succeeded(plan_.status.succeeded() + 1);
      } else if (outcome == Outcome::kFailed) {
        plan_.status.set_failed(plan_.status.failed() + 1);
      }
    }
  }

  const v1::Replica* Last(Outcome outcome) const {
    const v1::Replica* last = nullptr;
    for (const v1::Replica* r : ended_) {
      if (OutcomeOf(*r) != outcome) continue;
      if (last == nullptr || ToTime(r->status().finish_time()) >
                                 ToTime(last->status().finish_time())) {
        last = r;
      }
    }
    return last;
  }

  absl::Time Deadline() const {
    if (!spec().has_active_deadline() || !plan_.status.has_start_time()) {
      return absl::InfiniteFuture();
    }
    return ToTime(plan_.status.start_time()) +
           ToDuration(spec().active_deadline());
  }

  void Judge() {
    if (finished() || deleting()) return;
    if (plan_.status.succeeded() >= completions()) {
      End("Complete", "Completed",
          absl::StrCat(Executions(completions()),
                       completions() == 1 ? " has" : " have", " completed"),
          v1::Event::NORMAL);
    } else if (plan_.status.failed() > backoff_limit()) {
      const v1::Replica* last = Last(Outcome::kFailed);
      End("Failed", "BackoffLimitExceeded",
          absl::StrCat(Executions(plan_.status.failed()),
                       " failed, and backoffLimit is ", backoff_limit(),
                       last == nullptr
                           ? ""
                           : absl::StrCat("; last: ", last->metadata().name(),
                                          ": ", last->status().message())),
          v1::Event::WARNING);
    } else if (!spec().suspend() && view_.now >= Deadline()) {
      End("Failed", "DeadlineExceeded",
          absl::StrCat(
              "it was not complete after ",
              absl::FormatDuration(ToDuration(spec().active_deadline())), ": ",
              plan_.status.succeeded(), " of ", completions(),
              " executions had completed"),
          v1::Event::WARNING);
    }
  }

  void End(const char* type, const char* reason, std::string message,
           v1::Event::Severity severity) {
    Set(type, kTrue, reason, message);
    Progress(kFalse, type, "the job has ended");
    SetTime(plan_.status.mutable_completion_time(), view_.now);
    plan_.durable_status = true;
    Tell(type[0] == 'C' ? "JobCompleted" : "JobFailed", std::move(message),
         severity);
  }

  void Stop(const v1::Replica& r, const char* reason) {
    plan_.stop.push_back({r.metadata().uid(), reason, true});
  }
  void StopAll(const char* reason) {
    for (const v1::Replica* r : wanted_) Stop(*r, reason);
  }

  void Expire() {
    if (!spec().has_ttl_after_finished()) return;
    const absl::Time over = ToTime(plan_.status.completion_time()) +
                            ToDuration(spec().ttl_after_finished());
    plan_.expire = over <= view_.now;
    if (!plan_.expire) Wake(over);
  }

  void Suspend() {
    StopAll("Suspended");
    if (plan_.status.has_start_time()) {
      plan_.status.clear_start_time();
      plan_.durable_status = true;
    }
    Set("Suspended", kTrue, "Suspended", "the job is declared as suspended");
    Progress(kFalse, "Suspended", "nothing is started");
  }

  void GoOn() {
    if (FindCondition(plan_.status.conditions(), "Suspended") != nullptr) {
      Set("Suspended", kFalse, "Resumed", "the job goes on");
    }
    if (!plan_.status.has_start_time()) {
      SetTime(plan_.status.mutable_start_time(), view_.now);
      plan_.durable_status = true;
    }
    Wake(Deadline());
    const int missing = completions() - plan_.status.succeeded();
    const int allowed = std::min(parallelism(), missing);
    StopExcess(static_cast<int>(wanted_.size()) - allowed);
    Start(allowed - live());
  }

  // The youngest go: they have done the least.
  void StopExcess(int excess) {
    if (excess <= 0) return;
    std::vector<const v1::Replica*> order = wanted_;
    std::sort(order.begin(), order.end(),
              [](const v1::Replica* a, const v1::Replica* b) {
                const absl::Time ta = ToTime(a->metadata().create_time());
                const absl::Time tb = ToTime(b->metadata().create_time());
                if (ta != tb) return ta > tb;
                return a->spec().slot() > b->spec().slot();
              });
    for (int i = 0; i < excess; ++i) Stop(*order[i], "ScaledDown");
  }

  // Failures since the last success, and when the last of them was. The record
  // of each failure holds how many came before it, so that it is enough to have
  // kept the last ones.
  int FailuresInRow(absl::Time& last) const {
    const v1::Replica* success = Last(Outcome::kSucceeded);
    const absl::Time since = success == nullptr
                                 ? absl::InfinitePast()
                                 : ToTime(success->status().finish_time());
    int row = 0;
    int kept = 0;
    last = absl::InfinitePast();
    for (const v1::Replica* r : ended_) {
      const absl::Time end = ToTime(r->status().finish_time());
      if (OutcomeOf(*r) != Outcome::kFailed || end <= since) continue;
      ++kept;
      row = std::max(row, r->spec().attempt() + 1);
      last = std::max(last, end);
    }
    return std::max(row, kept);
  }

  void Start(int count) {
    if (revision_ == nullptr) {
      return Progress(kFalse, "ResolvingImages",
                      "the images are being made present");
    }
    if (count > 0 && !view_.unmet.empty()) {
      Wake(view_.now + kDependencyPoll);
      return Progress(kFalse, "WaitingForDependencies",
                      absl::StrJoin(view_.unmet, "; "));
    }
    absl::Time last;
    const int failures = FailuresInRow(last);
    const absl::Time next = failures == 0
                                ? absl::InfinitePast()
                                : last + kJobBackoff.Delay(failures - 1, 0);
    // A failure far in the future: the clock was set back. Do not wait for it.
    if (count > 0 && next > view_.now &&
        last <= view_.now + kJobBackoff.maximum) {
      Wake(next);
      return Progress(
          kFalse, "BackOff",
          absl::StrCat(
              failures, " failed in a row; the next is started at ",
              absl::FormatTime("%H:%M:%S UTC", next, absl::UTCTimeZone())));
    }
    Progress(kTrue, "Executing", "executions run");
    Create(count, failures);
  }

  void Create(int count, int failures) {
    std::set<int> taken;
    for (const auto* group : {&wanted_, &leaving_}) {
      for (const v1::Replica* r : *group) taken.insert(r->spec().slot());
    }
    for (int slot = 0; count > 0; ++slot) {
      if (taken.contains(slot)) continue;
      --count;
      plan_.create.push_back(
          {slot, revision_->number(), failures,
           failures == 0 ? "fewer run than may at once"
                         : absl::StrCat("tried again after ", failures,
                                        failures == 1 ? " failure"
                                                      : " failures in a row")});
    }
  }

  void FollowLimits() {
    const v1::Template declared = TemplateOf(spec());
    if (SameLimits(revision_->template_(), declared)) return;
    plan_.update.push_back(*revision_);
    CopyLimits(declared, *plan_.update.back().mutable_template_());
    Tell("LimitsChanged",
         "the executions have other limits; running ones get them in place");
  }

  void Revisions() {
    plan_.needs_revision =
        revision_ == nullptr && !deleting() && !finished() && !spec().suspend();
    if (revision_ != nullptr && !deleting() && !finished()) FollowLimits();
    for (const v1::Revision& r : view_.revisions) {
      if (&r == revision_) continue;
      const bool used =
          std::any_of(view_.executions.begin(), view_.executions.end(),
                      [&](const v1::Replica& e) {
                        return e.spec().revision() == r.number();
                      });
      if (!used && revision_ != nullptr) {
        plan_.prune.push_back(r.metadata().name());
      }
    }
  }

  // The status of what is there now.
  void Finish() {
    // What was found of the images of an older declaration is no news of this.
    Conditions& conditions = *plan_.status.mutable_conditions();
    if (revision_ != nullptr) {
      Set("ImageResolved", kTrue, "Resolved", "every image is present");
    } else if (plan_.status.observed_generation() <
               view_.job.metadata().generation()) {
      for (int i = 0; i < conditions.size(); ++i) {
        if (conditions[i].type() != "ImageResolved") continue;
        conditions.DeleteSubrange(i, 1);
        break;
      }
    }
    if (!spec().depends_on().empty() && !finished()) {
      if (view_.unmet.empty()) {
        Set("DependenciesReady", kTrue, "Ready", "every dependency is there");
      } else {
        Set("DependenciesReady", kFalse, "Waiting",
            absl::StrJoin(view_.unmet, "; "));
      }
    }
    plan_.status.set_observed_generation(view_.job.metadata().generation());
    plan_.status.set_active(live());
  }

  const JobView& view_;
  JobPlan plan_;
  const v1::Revision* revision_ = nullptr;
  std::vector<const v1::Replica*> ended_;
  std::vector<const v1::Replica*> wanted_;
  // Told to stop, not ended: still holds its slot.
  std::vector<const v1::Replica*> leaving_;
};

}  // namespace

JobPlan PlanJob(const JobView& view) { return JobPlanner(view).Run(); }

}  // namespace bulwark::scheduler
