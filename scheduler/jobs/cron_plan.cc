#include "scheduler/jobs/cron_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/cron.h"
#include "scheduler/conditions.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr int kDefaultSuccesses = 3;
constexpr int kDefaultFailures = 1;
// A last run so far ahead of the clock is of a clock that was wrong.
constexpr absl::Duration kMaxSkew = absl::Hours(24);

// FNV-1a: equal in every process, which absl::Hash is not.
double FractionOf(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
}

class CronPlanner {
 public:
  explicit CronPlanner(const CronView& view) : view_(view) {
    plan_.status = view.cron_job.status();
  }

  CronPlan Run() {
    if (view_.cron_job.metadata().has_delete_time()) {
      for (const v1::Job& job : view_.jobs) Remove(job);
      plan_.deleted = view_.jobs.empty();
    } else {
      absl::StatusOr<CronSchedule> schedule =
          CronSchedule::Parse(spec().schedule());
      absl::StatusOr<absl::TimeZone> zone = FindTimeZone(spec().time_zone());
      if (!schedule.ok() || !zone.ok()) {
        Condition(v1::Condition::FALSE, "InvalidSchedule",
                  std::string(schedule.ok() ? zone.status().message()
                                            : schedule.status().message()));
      } else if (spec().suspend()) {
        Promise(absl::InfiniteFuture());
        Condition(v1::Condition::FALSE, "Suspended",
                  "the cron job is declared as suspended");
      } else {
        Schedule(*schedule, *zone);
      }
      TrimHistory();
    }
    Active();
    return std::move(plan_);
  }

 private:
  const v1::CronJobSpec& spec() const { return view_.cron_job.spec(); }

  void Condition(v1::Condition::Status status, const char* reason,
                 std::string message) {
    v1::Condition condition;
    condition.set_type("Scheduled");
    condition.set_status(status);
    condition.set_reason(reason);
    condition.set_message(std::move(message));
    SetCondition(*plan_.status.mutable_conditions(), std::move(condition),
                 view_.now);
  }
  void Wake(absl::Time t) { plan_.wake_at = std::min(plan_.wake_at, t); }

  // Sets next_schedule_time; infinite: none.
  void Promise(absl::Time next) {
    google::protobuf::Timestamp stamp;
    if (next != absl::InfiniteFuture()) SetTime(&stamp, next);
    const bool had = plan_.status.has_next_schedule_time();
    if (next == absl::InfiniteFuture() ? !had
                                       : had && ToTime(stamp) == Promised()) {
      return;
    }
    plan_.durable_status = true;
    plan_.status.clear_next_schedule_time();
    if (next != absl::InfiniteFuture()) {
      *plan_.status.mutable_next_schedule_time() = stamp;
    }
  }
  absl::Time Promised() const {
    return ToTime(plan_.status.next_schedule_time());
  }

  // The first time that has not been run yet, from now on.
  absl::Time Fresh(const CronSchedule& schedule,
                   const absl::TimeZone& zone) const {
    const absl::Time last = ToTime(plan_.status.last_schedule_time());
    const bool sane = last <= view_.now + kMaxSkew;
    return schedule.Next(sane ? std::max(last, view_.now) : view_.now, zone);
  }

  void Schedule(const CronSchedule& schedule, const absl::TimeZone& zone) {
    const absl::Time fresh = Fresh(schedule, zone);
    const absl::Time promised = Promised();
    const bool holds =
        plan_.status.has_next_schedule_time() && promised <= fresh &&
        schedule.Next(promised - absl::Nanoseconds(1), zone) == promised;
    if (!holds) Promise(fresh);
    if (Promised() <= view_.now) {
      Due(*schedule.Latest(Promised() - absl::Nanoseconds(1), view_.now, zone),
          fresh);
    } else {
      Condition(v1::Condition::TRUE, "Waiting", "the next run is at its time");
      Wake(Promised());
    }
  }

  // When the run of `time` is begun: jitter included.
  absl::Time Begin(absl::Time time, absl::Time next) const {
    const absl::Duration most =
        std::min(ToDuration(spec().jitter()), next - time - absl::Seconds(1));
    if (most <= absl::ZeroDuration()) return time;
    return time +
           most * FractionOf(absl::StrCat(view_.cron_job.metadata().uid(), "/",
                                          absl::ToUnixSeconds(time)));
  }

  // `time` has come; `next` is the one after now.
  void Due(absl::Time time, absl::Time next) {
    const std::string name =
        CronRunName(view_.cron_job.metadata().name(), time);
    if (time > Promised()) {
      plan_.events.push_back(
          {"RunsMissed",
           absl::StrCat("the runs from ", TimeText(Promised()), " to before ",
                        TimeText(time),
                        " are left out: it was not possible "
                        "to begin them in time"),
           v1::Event::WARNING});
      Promise(time);
    }
    const absl::Time begin = Begin(time, next);
    const absl::Time latest =
        spec().has_starting_deadline()
            ? begin + ToDuration(spec().starting_deadline())
            : absl::InfiniteFuture();
    if (view_.now > latest) {
      plan_.events.push_back(
          {"RunMissed",
           absl::StrCat("the run of ", TimeText(time),
                        " is left out: it could not begin within its "
                        "startingDeadline"),
           v1::Event::WARNING});
      return GoOn(next);
    }
    if (begin > view_.now) {
      Condition(v1::Condition::TRUE, "Jitter", "the run is begun soon");
      return Wake(begin);
    }
    if (view_.names.contains(name)) {
      // Made by an earlier run of this very time, or by somebody else.
      const bool ours = std::any_of(
          view_.jobs.begin(), view_.jobs.end(),
          [&](const v1::Job& job) { return job.metadata().name() == name; });
      if (!ours) {
        plan_.events.push_back(
            {"NameTaken",
             absl::StrCat("the run of ", TimeText(time),
                          " is left out: a job that is not of this cron job "
                          "has the name ",
                          name),
             v1::Event::WARNING});
      }
      return GoOn(next);
    }
    if (!MayRun()) {
      Wake(latest + absl::Nanoseconds(1));
      return Wake(next);
    }
    plan_.run = time;
    SetTime(plan_.status.mutable_last_schedule_time(), time);
    plan_.events.push_back(
        {"JobCreated",
         absl::StrCat("job ", name, " is made for ", TimeText(time))});
    GoOn(next);
  }

  void GoOn(absl::Time next) {
    Promise(next);
    Condition(v1::Condition::TRUE, "Waiting", "the next run is at its time");
    Wake(next);
  }

  bool MayRun() {
    if (spec().concurrency() != v1::CronJobSpec::FORBID &&
        spec().concurrency() != v1::CronJobSpec::REPLACE) {
      return true;
    }
    const v1::Job* running = nullptr;
    for (const v1::Job& job : view_.jobs) {
      if (IsFinished(job) && job.status().active() == 0) continue;
      running = &job;
      if (spec().concurrency() == v1::CronJobSpec::REPLACE) Remove(job);
    }
    if (running == nullptr) return true;
    const bool replace = spec().concurrency() == v1::CronJobSpec::REPLACE;
    Condition(v1::Condition::TRUE, replace ? "Replacing" : "WaitsForRunning",
              absl::StrCat("a run is due, and waits for job ",
                           running->metadata().name(),
                           replace ? " to be gone" : " to end"));
    return false;
  }

  void Remove(const v1::Job& job) {
    if (job.metadata().has_delete_time()) return;
    const std::string& name = job.metadata().name();
    if (std::find(plan_.remove.begin(), plan_.remove.end(), name) ==
        plan_.remove.end()) {
      plan_.remove.push_back(name);
    }
  }

  void TrimHistory() {
    std::vector<const v1::Job*> complete, failed;
    for (const v1::Job& job : view_.jobs) {
      if (!IsFinished(job) || job.metadata().has_delete_time()) continue;
      (IsComplete(job) ? complete : failed).push_back(&job);
    }
    Trim(complete, spec().has_successful_history() ? spec().successful_history()
                                                   : kDefaultSuccesses);
    Trim(failed, spec().has_failed_history() ? spec().failed_history()
                                             : kDefaultFailures);
  }

  void Trim(std::vector<const v1::Job*>& jobs, int kept) {
    std::sort(jobs.begin(), jobs.end(), [](const v1::Job* a, const v1::Job* b) {
      return ToTime(a->status().completion_time()) >
             ToTime(b->status().completion_time());
    });
    for (size_t i = std::max(0, kept); i < jobs.size(); ++i) Remove(*jobs[i]);
  }

  void Active() {
    plan_.status.clear_active();
    std::set<std::string> names;
    for (const v1::Job& job : view_.jobs) {
      if (!IsFinished(job)) names.insert(job.metadata().name());
      if (!IsComplete(job)) continue;
      if (ToTime(job.status().completion_time()) >
          ToTime(plan_.status.last_success_time())) {
        *plan_.status.mutable_last_success_time() =
            job.status().completion_time();
      }
    }
    if (plan_.run.has_value()) {
      names.insert(CronRunName(view_.cron_job.metadata().name(), *plan_.run));
    }
    for (const std::string& name : names) plan_.status.add_active(name);
  }

  const CronView& view_;
  CronPlan plan_;
};

}  // namespace

CronPlan PlanCronJob(const CronView& view) { return CronPlanner(view).Run(); }

std::string CronRunName(absl::string_view cron_job, absl::Time time) {
  return absl::StrCat(cron_job, "-", absl::ToUnixSeconds(time) / 60);
}

}  // namespace bulwark::scheduler
