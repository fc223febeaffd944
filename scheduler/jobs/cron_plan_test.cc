#include "scheduler/jobs/cron_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full,
                              absl::StrCat("2030-01-", text, ":00Z"), &time,
                              &error))
      << error;
  return time;
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%dT%H:%M", time, absl::UTCTimeZone());
}

// A cron job told in sentences; times are "DDTHH:MM" of January 2030.
class Story {
 public:
  explicit Story(const std::string& now,
                 const std::string& schedule = "0 * * * *") {
    view.now = At(now);
    view.cron_job.mutable_metadata()->set_name("backup");
    view.cron_job.mutable_metadata()->set_uid("cron");
    view.cron_job.mutable_spec()->set_schedule(schedule);
  }
  Story& Promised(const std::string& time) {
    SetTime(view.cron_job.mutable_status()->mutable_next_schedule_time(),
            At(time));
    return *this;
  }
  Story& Last(const std::string& time) {
    SetTime(view.cron_job.mutable_status()->mutable_last_schedule_time(),
            At(time));
    return *this;
  }
  Story& Concurrency(v1::CronJobSpec::Concurrency concurrency) {
    view.cron_job.mutable_spec()->set_concurrency(concurrency);
    return *this;
  }
  Story& Suspended() {
    view.cron_job.mutable_spec()->set_suspend(true);
    return *this;
  }
  Story& StartingDeadline(absl::Duration d) {
    view.cron_job.mutable_spec()->mutable_starting_deadline()->set_seconds(
        absl::ToInt64Seconds(d));
    return *this;
  }
  Story& Jitter(absl::Duration d) {
    view.cron_job.mutable_spec()->mutable_jitter()->set_seconds(
        absl::ToInt64Seconds(d));
    return *this;
  }
  Story& Deleted() {
    SetTime(view.cron_job.mutable_metadata()->mutable_delete_time(), view.now);
    return *this;
  }
  Story& Runs(const std::string& name) {
    v1::Job job;
    job.mutable_metadata()->set_name(name);
    job.mutable_status()->set_active(1);
    view.jobs.push_back(job);
    view.names.insert(name);
    return *this;
  }
  Story& Leaves(const std::string& name) {
    Runs(name);
    SetTime(view.jobs.back().mutable_metadata()->mutable_delete_time(),
            view.now);
    return *this;
  }
  Story& Finished(const std::string& name, const char* how,
                  const std::string& when) {
    Runs(name);
    v1::JobStatus& status = *view.jobs.back().mutable_status();
    status.set_active(0);
    v1::Condition& c = *status.add_conditions();
    c.set_type(how);
    c.set_status(v1::Condition::TRUE);
    SetTime(status.mutable_completion_time(), At(when));
    return *this;
  }

  CronView view;
};

// "run 01T10:00; remove a,b; next 01T11:00; wake 01T11:00".
std::string Tell(const CronPlan& plan) {
  std::vector<std::string> parts;
  if (plan.run.has_value()) {
    parts.push_back(absl::StrCat("run ", Text(*plan.run)));
  }
  if (!plan.remove.empty()) {
    parts.push_back(absl::StrCat("remove ", absl::StrJoin(plan.remove, ",")));
  }
  if (plan.deleted) parts.push_back("gone");
  for (const PlannedEvent& e : plan.events) {
    if (e.reason != "JobCreated") parts.push_back(e.reason);
  }
  parts.push_back(
      plan.status.has_next_schedule_time()
          ? absl::StrCat("next ",
                         Text(ToTime(plan.status.next_schedule_time())))
          : "no next");
  return absl::StrJoin(parts, "; ");
}

constexpr auto kForbid = v1::CronJobSpec::FORBID;
constexpr auto kReplace = v1::CronJobSpec::REPLACE;

TEST(PlanCronJobTest, DecidesByTable) {
  const struct {
    const char* name;
    Story story;
    const char* expected;
  } kCases[] = {
      {"a new one promises its first time", Story("01T10:30"), "next 01T11:00"},
      {"nothing before it was made is caught up", Story("01T10:00"),
       "next 01T11:00"},
      {"waits", Story("01T10:59").Promised("01T11:00"), "next 01T11:00"},
      {"runs at its time", Story("01T11:00").Promised("01T11:00"),
       "run 01T11:00; next 01T12:00"},
      {"runs late", Story("01T11:59").Promised("01T11:00"),
       "run 01T11:00; next 01T12:00"},
      {"runs later than a day",
       Story("03T08:30", "0 9 1 * *").Promised("01T09:00"),
       "run 01T09:00; next 01T09:00"},
      {"of several missed the latest", Story("01T15:10").Promised("01T11:00"),
       "run 01T15:00; RunsMissed; next 01T16:00"},
      {"a year of minutes", Story("31T15:10", "* * * * *").Promised("01T11:00"),
       "run 31T15:10; RunsMissed; next 31T15:11"},
      {"a new schedule catches nothing up",
       Story("01T15:10", "30 * * * *").Promised("01T11:00"), "next 01T15:30"},
      {"nor does one that comes sooner",
       Story("01T15:10", "*/5 * * * *").Promised("01T16:00"), "next 01T15:15"},
      {"a clock set back runs nothing twice",
       Story("01T10:30").Last("01T14:00").Promised("01T15:00"),
       "next 01T15:00"},
      {"a clock set back by days makes a new promise",
       Story("01T10:30").Last("09T14:00").Promised("09T15:00"),
       "next 01T11:00"},
      {"suspended", Story("01T12:00").Promised("01T11:00").Suspended(),
       "no next"},
      {"too late to begin",
       Story("01T11:20")
           .Promised("01T11:00")
           .StartingDeadline(absl::Minutes(10)),
       "RunMissed; next 01T12:00"},
      {"just in time",
       Story("01T11:10")
           .Promised("01T11:00")
           .StartingDeadline(absl::Minutes(10)),
       "run 01T11:00; next 01T12:00"},
      {"runs beside another",
       Story("01T11:00").Promised("01T11:00").Runs("old"),
       "run 01T11:00; next 01T12:00"},
      {"forbids",
       Story("01T11:00").Promised("01T11:00").Runs("old").Concurrency(kForbid),
       "next 01T11:00"},
      {"and runs when the other has ended",
       Story("01T11:25")
           .Promised("01T11:00")
           .Finished("old", "Complete", "01T11:25")
           .Concurrency(kForbid),
       "run 01T11:00; next 01T12:00"},
      {"forbids until it is too late",
       Story("01T11:11")
           .Promised("01T11:00")
           .Runs("old")
           .StartingDeadline(absl::Minutes(10))
           .Concurrency(kForbid),
       "RunMissed; next 01T12:00"},
      {"replaces: first the old one goes",
       Story("01T11:00").Promised("01T11:00").Runs("old").Concurrency(kReplace),
       "remove old; next 01T11:00"},
      {"is not gone yet",
       Story("01T11:01")
           .Promised("01T11:00")
           .Leaves("old")
           .Concurrency(kReplace),
       "next 01T11:00"},
      {"then the new one comes",
       Story("01T11:02").Promised("01T11:00").Concurrency(kReplace),
       "run 01T11:00; next 01T12:00"},
      {"was made already",
       Story("01T11:00")
           .Promised("01T11:00")
           .Runs(CronRunName("backup", At("01T11:00"))),
       "next 01T12:00"},
      {"keeps three and one",
       Story("01T10:30")
           .Finished("a", "Complete", "01T01:00")
           .Finished("b", "Complete", "01T02:00")
           .Finished("c", "Complete", "01T03:00")
           .Finished("d", "Complete", "01T04:00")
           .Finished("e", "Failed", "01T05:00")
           .Finished("f", "Failed", "01T06:00")
           .Runs("g"),
       "remove a,e; next 01T11:00"},
      {"deleted: its jobs go first",
       Story("01T10:30")
           .Deleted()
           .Runs("a")
           .Finished("b", "Failed", "01T01:00"),
       "remove a,b; no next"},
      {"waits for them", Story("01T10:30").Deleted().Leaves("a"), "no next"},
      {"and goes last", Story("01T10:30").Deleted(), "gone; no next"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Tell(PlanCronJob(c.story.view)), c.expected) << c.name;
  }
}

TEST(PlanCronJobTest, WhenANameIsTakenByAnotherJob_SaysSo) {
  Story story = Story("01T11:00").Promised("01T11:00");
  story.view.names.insert(CronRunName("backup", At("01T11:00")));
  EXPECT_EQ(Tell(PlanCronJob(story.view)), "NameTaken; next 01T12:00");
}

TEST(PlanCronJobTest, JitterIsSteadyAndEndsBeforeTheNextTime) {
  bool delayed = false;
  for (int i = 0; i < 100; ++i) {
    Story story = Story("01T11:00").Promised("01T11:00").Jitter(absl::Hours(5));
    story.view.cron_job.mutable_metadata()->set_uid(absl::StrCat("uid", i));
    const CronPlan first = PlanCronJob(story.view);
    if (first.run.has_value()) continue;
    delayed = true;
    ASSERT_GT(first.wake_at, At("01T11:00"));
    ASSERT_LT(first.wake_at, At("01T12:00"));
    story.view.now = first.wake_at - absl::Seconds(1);
    EXPECT_EQ(PlanCronJob(story.view).wake_at, first.wake_at);
    story.view.now = first.wake_at;
    EXPECT_EQ(PlanCronJob(story.view).run, At("01T11:00"));
  }
  EXPECT_TRUE(delayed);
}

TEST(PlanCronJobTest, WakesForTheNextTime) {
  EXPECT_EQ(PlanCronJob(Story("01T10:30").view).wake_at, At("01T11:00"));
  EXPECT_EQ(PlanCronJob(Story("01T11:00").Promised("01T11:00").view).wake_at,
            At("01T12:00"));
  EXPECT_EQ(PlanCronJob(Story("01T11:00").Suspended().view).wake_at,
            absl::InfiniteFuture());
}

TEST(PlanCronJobTest, ThePromiseIsDurableAndTheRestIsNot) {
  EXPECT_TRUE(PlanCronJob(Story("01T10:30").view).durable_status);
  EXPECT_FALSE(
      PlanCronJob(Story("01T10:30").Promised("01T11:00").view).durable_status);
  EXPECT_TRUE(
      PlanCronJob(Story("01T11:00").Promised("01T11:00").view).durable_status);
}

TEST(PlanCronJobTest, StatusNamesWhatRunsAndTheLastSuccess) {
  const CronPlan plan = PlanCronJob(Story("01T11:00")
                                        .Promised("01T11:00")
                                        .Runs("manual")
                                        .Finished("a", "Complete", "01T09:00")
                                        .Finished("b", "Failed", "01T10:00")
                                        .view);
  EXPECT_THAT(plan.status.active(),
              ElementsAre(CronRunName("backup", At("01T11:00")), "manual"));
  EXPECT_EQ(ToTime(plan.status.last_success_time()), At("01T09:00"));
  EXPECT_EQ(ToTime(plan.status.last_schedule_time()), At("01T11:00"));
}

TEST(PlanCronJobTest, WhenTheZoneHasVanished_SaysSo) {
  Story story("01T11:00");
  story.view.cron_job.mutable_spec()->set_time_zone("Mars/Olympus");
  const CronPlan plan = PlanCronJob(story.view);
  const v1::Condition* c = FindCondition(plan.status.conditions(), "Scheduled");
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->reason(), "InvalidSchedule");
  EXPECT_THAT(plan.events, IsEmpty());
}

TEST(PlanCronJobTest, RunsByTheClockOfItsZone) {
  Story story("01T10:30", "0 9 * * *");
  story.view.cron_job.mutable_spec()->set_time_zone("Europe/Berlin");
  EXPECT_EQ(Tell(PlanCronJob(story.view)), "next 02T08:00");
}

}  // namespace
}  // namespace bulwark::scheduler
