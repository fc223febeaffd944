// The rules of jobs and cron jobs.
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validate_parts.h"
#include "api/validation.h"
#include "base/cron.h"
#include "google/protobuf/util/message_differencer.h"

namespace bulwark::api {
namespace {

using google::protobuf::util::MessageDifferencer;
using v1::CronJobSpec;
using v1::JobSpec;

constexpr int kMaxCompletions = 100000;
constexpr int kMaxBackoffLimit = 100000;
constexpr int kMaxHistory = 1000;
// Of a cron job's name: "-" and the minutes since the epoch make its jobs'.
constexpr size_t kMaxCronName = 31;

const Rule<JobSpec> kJobRules[] = {
    {"containers",
     [](const JobSpec& s) { return s.containers_size() <= kMaxContainers; },
     "has more than 32 entries", "declare several jobs"},
    {"initContainers",
     [](const JobSpec& s) {
       return s.init_containers_size() <= kMaxContainers;
     },
     "has more than 32 entries", "do more in each"},
    {"completions",
     [](const JobSpec& s) { return s.completions() <= kMaxCompletions; },
     "is above 100000", "do more in each execution"},
    {"parallelism",
     [](const JobSpec& s) { return s.parallelism() <= kMaxReplicas; },
     "is above 1000", "use a lower number"},
    {"backoffLimit",
     [](const JobSpec& s) { return s.backoff_limit() <= kMaxBackoffLimit; },
     "is above 100000", "use a lower number"},
    {"activeDeadline",
     [](const JobSpec& s) {
       return !s.has_active_deadline() ||
              ToDuration(s.active_deadline()) > absl::ZeroDuration();
     },
     "is zero: the job could do nothing", "give it time, or leave it out"},
    {"network", [](const JobSpec& s) { return IsLabel(s.network()); },
     kNotLabel, kLabelRemedy, [](const JobSpec& s) { return s.network(); }},
    {"stop.signal",
     [](const JobSpec& s) { return IsSignal(s.stop().signal()); },
     "is not a signal", "write it like SIGTERM or SIGQUIT",
     [](const JobSpec& s) { return s.stop().signal(); }},
    {"stop.timeout",
     [](const JobSpec& s) {
       return ToDuration(s.stop().timeout()) <= absl::Hours(24);
     },
     "is above 24h", "use a shorter time"},
};

const Rule<CronJobSpec> kCronRules[] = {
    {"jitter",
     [](const CronJobSpec& s) {
       return ToDuration(s.jitter()) <= absl::Hours(24);
     },
     "is above 24h", "use a shorter time"},
    {"startingDeadline",
     [](const CronJobSpec& s) {
       return !s.has_starting_deadline() ||
              ToDuration(s.starting_deadline()) > absl::ZeroDuration();
     },
     "is zero: every run would be too late",
     "give it time, e.g. 1m, or leave it out"},
    {"successfulHistory",
     [](const CronJobSpec& s) { return s.successful_history() <= kMaxHistory; },
     "is above 1000", "keep fewer jobs"},
    {"failedHistory",
     [](const CronJobSpec& s) { return s.failed_history() <= kMaxHistory; },
     "is above 1000", "keep fewer jobs"},
};

// Whatever an execution is made of; its limits may change as it runs.
v1::JobSpec TemplateOf(const JobSpec& spec) {
  JobSpec t;
  *t.mutable_containers() = spec.containers();
  *t.mutable_init_containers() = spec.init_containers();
  *t.mutable_stop() = spec.stop();
  t.set_network(spec.network());
  for (auto* list : {t.mutable_containers(), t.mutable_init_containers()}) {
    for (v1::Container& container : *list) container.clear_resources();
  }
  return t;
}

// Something may have been made of what it declares.
bool HasBegun(const v1::Job& job) {
  const v1::JobStatus& status = job.status();
  if (status.active() > 0 || status.succeeded() > 0 || status.failed() > 0) {
    return true;
  }
  for (const v1::Condition& c : status.conditions()) {
    if (c.type() == "ImageResolved" && c.status() == v1::Condition::TRUE) {
      return true;
    }
  }
  return false;
}

}  // namespace

void ValidateJobSpec(const JobSpec& spec, const NormalizeReference& normalize,
                     absl::string_view path, Report& report) {
  CheckRules<JobSpec>(spec, kJobRules, path, report);
  std::set<std::string> names;
  ValidateContainers(spec.init_containers(), ContainerRole::kInit,
                     absl::StrCat(path, ".initContainers"), normalize, names,
                     report);
  ValidateContainers(spec.containers(), ContainerRole::kExecution,
                     absl::StrCat(path, ".containers"), normalize, names,
                     report);
  SharedSysctls sysctls;
  sysctls.Check(spec.init_containers(), absl::StrCat(path, ".initContainers"),
                report);
  sysctls.Check(spec.containers(), absl::StrCat(path, ".containers"), report);
  ValidateDependencies(spec.depends_on(), path, report);
}

void ValidateCronJob(const v1::CronJob& cron_job,
                     const NormalizeReference& normalize, Report& report) {
  const CronJobSpec& spec = cron_job.spec();
  if (cron_job.metadata().name().size() > kMaxCronName) {
    report.Invalid("metadata.name",
                   absl::StrCat(Quoted(cron_job.metadata().name()),
                                " is longer than 31 characters"),
                   "its jobs are named after it, with nine characters more");
  }
  CheckRules<CronJobSpec>(spec, kCronRules, "spec", report);
  if (!spec.schedule().empty()) {
    const absl::Status status = CronSchedule::Parse(spec.schedule()).status();
    if (!status.ok()) {
      // Some say what to do themselves.
      const bool says = absl::StrContains(status.message(), "; ");
      report.Invalid("spec.schedule", std::string(status.message()),
                     says ? ""
                          : "write minute, hour, day of the month, month and "
                            "day of the week, such as \"0 3 * * *\" for 3:00 "
                            "every day");
    }
  }
  const absl::Status zone = FindTimeZone(spec.time_zone()).status();
  if (!zone.ok()) {
    report.Invalid("spec.timeZone", std::string(zone.message()),
                   "write it like Europe/Berlin or UTC; package tzdata brings "
                   "the zones");
  }
  ValidateJobSpec(spec.job(), normalize, "spec.job", report);
}

void ValidateJobChange(const v1::Job& before, const v1::Job& after,
                       Report& report) {
  if (!HasBegun(before)) return;
  constexpr absl::string_view kRemedy =
      "delete the job first, or give this one another name";
  if (before.spec().completions() != after.spec().completions()) {
    report.Refuse("spec.completions", "cannot change once the job has begun",
                  kRemedy);
  }
  if (!MessageDifferencer::Equals(TemplateOf(before.spec()),
                                  TemplateOf(after.spec()))) {
    report.Refuse("spec",
                  "what the executions are made of (containers, "
                  "initContainers, stop, network) cannot change once the job "
                  "has begun",
                  kRemedy);
  }
}

}  // namespace bulwark::api
