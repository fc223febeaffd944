// The rules of jobs and cron jobs.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "api/validation_testing.h"

namespace bulwark::api {
namespace {

struct Case {
  const char* name;
  std::function<void(v1::CronJob&)> spoil;
  const char* field;
  const char* message;
};

v1::Object Nightly() {
  v1::Object object;
  v1::CronJob& job = *object.mutable_cron_job();
  job.mutable_metadata()->set_name("nightly");
  job.mutable_spec()->set_schedule("0 3 * * *");
  job.mutable_spec()->mutable_job()->add_containers()->set_image("tools:3");
  return object;
}

v1::JobSpec& JobOf(v1::CronJob& c) { return *c.mutable_spec()->mutable_job(); }

const Case kCases[] = {
    {"NoSchedule", [](v1::CronJob& c) { c.mutable_spec()->clear_schedule(); },
     "spec.schedule", "is required"},
    {"BadSchedule",
     [](v1::CronJob& c) { c.mutable_spec()->set_schedule("0 25 * * *"); },
     "spec.schedule", "is not from 0 to 23"},
    {"NeverFires",
     [](v1::CronJob& c) { c.mutable_spec()->set_schedule("0 0 31 2 *"); },
     "spec.schedule", "never fires"},
    {"NoTimeToStart",
     [](v1::CronJob& c) { c.mutable_spec()->mutable_starting_deadline(); },
     "spec.startingDeadline", "every run would be too late"},
    {"BadZone",
     [](v1::CronJob& c) { c.mutable_spec()->set_time_zone("Nowhere"); },
     "spec.timeZone", "no time zone that this host knows"},
    {"LongName",
     [](v1::CronJob& c) {
       c.mutable_metadata()->set_name(std::string(32, 'a'));
     },
     "metadata.name", "longer than 31"},
    {"NegativeHistory",
     [](v1::CronJob& c) { c.mutable_spec()->set_failed_history(-1); },
     "spec.failedHistory", "is negative"},
    {"NoContainers", [](v1::CronJob& c) { JobOf(c).clear_containers(); },
     "spec.job.containers", "is required"},
    {"NegativeCompletions",
     [](v1::CronJob& c) { JobOf(c).set_completions(-1); },
     "spec.job.completions", "is negative"},
    {"TooParallel", [](v1::CronJob& c) { JobOf(c).set_parallelism(1001); },
     "spec.job.parallelism", "above 1000"},
    {"NoTime", [](v1::CronJob& c) { JobOf(c).mutable_active_deadline(); },
     "spec.job.activeDeadline", "is zero"},
    {"Probe",
     [](v1::CronJob& c) {
       JobOf(c)
           .mutable_containers(0)
           ->mutable_readiness()
           ->mutable_tcp()
           ->set_port(80);
     },
     "spec.job.containers[0].readiness", "it has no probes"},
    {"VolumePerReplica",
     [](v1::CronJob& c) {
       v1::VolumeMount& m = *JobOf(c).mutable_containers(0)->add_volumes();
       m.set_volume("data");
       m.set_path("/data");
       m.set_per_replica(true);
     },
     "spec.job.containers[0].volumes[0].perReplica", "is for services"},
    {"TwoNames",
     [](v1::CronJob& c) {
       JobOf(c).add_init_containers()->set_image("tools:3");
     },
     "spec.job.containers[0].name", "two containers are named"},
};

class JobRulesTest : public ::testing::TestWithParam<Case> {};

TEST_P(JobRulesTest, FindsTheProblem) {
  v1::Object object = Nightly();
  GetParam().spoil(*object.mutable_cron_job());
  const std::vector<v1::Violation> problems = Problems(object);
  ASSERT_EQ(problems.size(), 1)
      << (problems.empty() ? "none" : problems.back().DebugString());
  EXPECT_EQ(problems[0].field(), GetParam().field);
  EXPECT_TRUE(absl::StrContains(problems[0].message(), GetParam().message))
      << problems[0].message();
}

INSTANTIATE_TEST_SUITE_P(Cases, JobRulesTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(JobRulesTest, WhenRight_HasNoProblems) {
  EXPECT_TRUE(Problems(Nightly()).empty());
  v1::Object object = Nightly();
  object.mutable_cron_job()->mutable_spec()->set_time_zone("Europe/Berlin");
  EXPECT_TRUE(Problems(object).empty());
}

}  // namespace
}  // namespace bulwark::api
