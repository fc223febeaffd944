#include "scheduler/jobs/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/conditions.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using State = v1::ReplicaStatus;

// A job told in sentences.
class Story {
 public:
  Story() {
    view.now = absl::FromUnixSeconds(1893456000);
    v1::Metadata& metadata = *view.job.mutable_metadata();
    metadata.set_name("import");
    metadata.set_project("default");
    metadata.set_uid("job");
    metadata.set_generation(1);
    v1::Container& c = *view.job.mutable_spec()->add_containers();
    c.set_name("import");
    c.set_image("app:1");
    view.job.mutable_spec()->set_completions(1);
    view.job.mutable_spec()->set_parallelism(1);
    view.job.mutable_spec()->set_backoff_limit(6);
    Resolved();
  }
  Story& Resolved() {
    v1::Revision r;
    r.mutable_metadata()->set_name("job.import-1");
    r.set_job("import");
    r.set_number(1);
    *r.mutable_template_() = TemplateOf(view.job.spec());
    view.revisions = {r};
    return *this;
  }
  Story& Unresolved() {
    view.revisions.clear();
    return *this;
  }
  Story& Wants(int completions, int parallelism) {
    view.job.mutable_spec()->set_completions(completions);
    view.job.mutable_spec()->set_parallelism(parallelism);
    return *this;
  }
  Story& Limit(int failures) {
    view.job.mutable_spec()->set_backoff_limit(failures);
    return *this;
  }
  Story& Deadline(absl::Duration d) {
    view.job.mutable_spec()->mutable_active_deadline()->set_seconds(
        absl::ToInt64Seconds(d));
    return *this;
  }
  Story& Ttl(absl::Duration d) {
    view.job.mutable_spec()->mutable_ttl_after_finished()->set_seconds(
        absl::ToInt64Seconds(d));
    return *this;
  }
  Story& Suspended() {
    view.job.mutable_spec()->set_suspend(true);
    return *this;
  }
  Story& Deleted() {
    SetTime(view.job.mutable_metadata()->mutable_delete_time(), view.now);
    return *this;
  }
  Story& Unmet(const std::string& what) {
    view.unmet.push_back(what);
    view.job.mutable_spec()->add_depends_on()->set_service("db");
    return *this;
  }
  Story& Held() {
    view.held = "volume data is being restored";
    return *this;
  }
  Story& ShuttingDown() {
    view.shutting_down = true;
    return *this;
  }
  // What the status says already.
  Story& Began(absl::Duration ago) {
    SetTime(view.job.mutable_status()->mutable_start_time(), view.now - ago);
    return *this;
  }
  Story& Counted(int succeeded, int failed) {
    view.job.mutable_status()->set_succeeded(succeeded);
    view.job.mutable_status()->set_failed(failed);
    return *this;
  }
  Story& Is(const char* type, absl::Duration ago) {
    v1::Condition& c = *view.job.mutable_status()->add_conditions();
    c.set_type(type);
    c.set_status(v1::Condition::TRUE);
    SetTime(view.job.mutable_status()->mutable_completion_time(),
            view.now - ago);
    return *this;
  }
  // Executions; the name is that of the uid.
  v1::Replica& Add(int slot, State::State state) {
    v1::Replica r;
    r.mutable_metadata()->set_uid(absl::StrCat("e", view.executions.size()));
    r.mutable_metadata()->set_name(r.metadata().uid());
    SetTime(
        r.mutable_metadata()->mutable_create_time(),
        view.now - absl::Minutes(10) + absl::Seconds(view.executions.size()));
    r.mutable_spec()->set_job("import");
    r.mutable_spec()->set_service_uid("job");
    r.mutable_spec()->set_revision(1);
    r.mutable_spec()->set_slot(slot);
    r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    r.mutable_status()->set_state(state);
    view.executions.push_back(r);
    return view.executions.back();
  }
  Story& Runs(int slot) {
    Add(slot, State::RUNNING);
    return *this;
  }
  Story& Leaves(int slot) {
    Add(slot, State::STOPPING).mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    return *this;
  }
  Story& Ended(const char* reason, absl::Duration ago, int attempt = 0,
               bool counted = false) {
    v1::Replica& r = Add(0, State::FAILED);
    r.mutable_spec()->set_attempt(attempt);
    r.mutable_status()->set_reason(reason);
    r.mutable_status()->set_message(absl::StrCat("it ended: ", reason));
    SetTime(r.mutable_status()->mutable_finish_time(), view.now - ago);
    if (counted) {
      r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
      r.mutable_spec()->set_reason(kCountedReason);
    }
    return *this;
  }
  Story& Stopped() {
    v1::Replica& r = Add(0, State::STOPPED);
    r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
    r.mutable_spec()->set_reason("Suspended");
    return *this;
  }

  JobView view;
};

// "start 0 1; stop e0 (Suspended); count e1; 1 ok 0 bad; Complete".
std::string Tell(const JobPlan& plan) {
  std::vector<std::string> parts;
  for (const NewReplica& r : plan.create) {
    parts.push_back(absl::StrCat(
        "start ", r.slot, r.attempt > 0 ? absl::StrCat("#", r.attempt) : ""));
  }
  for (const StopReplica& r : plan.stop) {
    parts.push_back(absl::StrCat("stop ", r.uid, " ", r.reason));
  }
  if (!plan.count.empty()) {
    parts.push_back(absl::StrCat("count ", absl::StrJoin(plan.count, ",")));
  }
  if (plan.needs_revision) parts.push_back("resolve");
  if (plan.expire) parts.push_back("expire");
  if (plan.deleted) parts.push_back("gone");
  for (const v1::Condition& c : plan.status.conditions()) {
    const bool end = c.type() == "Complete" || c.type() == "Failed";
    if (end && c.status() == v1::Condition::TRUE) {
      parts.push_back(
          absl::StrCat(c.type(), c.reason().empty() ? "" : " ", c.reason()));
    }
  }
  return absl::StrJoin(parts, "; ");
}

std::string Reason(const v1::JobStatus& status, const char* type) {
  const v1::Condition* c = FindCondition(status.conditions(), type);
  return c == nullptr ? "" : c->reason();
}

TEST(PlanJobTest, DecidesByTable) {
  const absl::Duration s = absl::Seconds(1);
  const struct {
    const char* name;
    Story story;
    const char* expected;
  } kCases[] = {
      {"begins", Story(), "start 0"},
      {"asks for its images", Story().Unresolved(), "resolve"},
      {"starts as many as may run at once", Story().Wants(5, 2),
       "start 0; start 1"},
      {"no more than are missing", Story().Wants(5, 4).Counted(3, 0).Runs(0),
       "start 1"},
      {"runs what it may", Story().Wants(5, 2).Runs(0).Runs(1), ""},
      {"takes the free slot", Story().Wants(5, 3).Runs(0).Runs(2), "start 1"},
      {"a leaving one still counts", Story().Wants(5, 2).Runs(0).Leaves(1), ""},
      {"counts a success", Story().Wants(2, 1).Ended("Completed", s),
       "start 0; count e0"},
      {"is complete", Story().Ended("Completed", s),
       "count e0; Complete Completed"},
      {"counts once",
       Story().Wants(2, 1).Counted(1, 0).Ended("Completed", s, 0, true),
       "start 0"},
      {"a reboot is no failure", Story().Limit(0).Ended("HostReboot", s),
       "start 0; count e0"},
      {"nor is a stop of ours", Story().Limit(0).Stopped(),
       "start 0; count e0"},
      {"a lost shim is one", Story().Limit(0).Ended("ShimLost", s),
       "count e0; Failed BackoffLimitExceeded"},
      {"backs off", Story().Ended("Error", 9 * s), "count e0"},
      {"and tries again", Story().Ended("Error", 10 * s),
       "start 0#1; count e0"},
      {"backs off longer", Story().Counted(0, 2).Ended("Error", 39 * s, 2),
       "count e0"},
      {"from the last failure on",
       Story().Counted(0, 3).Ended("Error", 40 * s, 2, true), "start 0#3"},
      {"at most six minutes",
       Story().Limit(99).Counted(0, 50).Ended("Error", 359 * s, 49, true), ""},
      {"and then goes on",
       Story().Limit(99).Counted(0, 50).Ended("Error", 360 * s, 49, true),
       "start 0#50"},
      {"several failures at once count each",
       Story()
           .Wants(9, 3)
           .Ended("Error", 39 * s)
           .Ended("Error", 39 * s)
           .Ended("Error", 39 * s),
       "count e0,e1,e2"},
      {"a success ends the row",
       Story()
           .Wants(3, 1)
           .Counted(1, 4)
           .Ended("Error", 20 * s, 3, true)
           .Ended("Completed", 10 * s, 4, true),
       "start 0"},
      {"a failure from the future does not hold it up",
       Story().Counted(0, 1).Ended("Error", -1000 * s, 0, true), "start 0#1"},
      {"the limit is what may fail",
       Story().Limit(2).Counted(0, 1).Ended("Error", 60 * s, 1),
       "start 0#2; count e0"},
      {"one more and it has failed",
       Story().Limit(2).Counted(0, 2).Ended("Error", 60 * s, 2),
       "count e0; Failed BackoffLimitExceeded"},
      {"what runs beside is stopped",
       Story().Wants(5, 2).Limit(0).Runs(0).Ended("Error", s),
       "stop e0 JobFinished; count e1; Failed BackoffLimitExceeded"},
      {"a success that comes after counts, and changes nothing",
       Story().Is("Failed", s).Counted(0, 7).Ended("Completed", s),
       "count e0; Failed"},
      {"in time", Story().Deadline(60 * s).Began(59 * s).Runs(0), ""},
      {"too late", Story().Deadline(60 * s).Began(60 * s).Runs(0),
       "stop e0 JobFinished; Failed DeadlineExceeded"},
      {"a success in time wins over the deadline",
       Story().Deadline(60 * s).Began(61 * s).Ended("Completed", 2 * s),
       "count e0; Complete Completed"},
      {"suspended", Story().Wants(5, 2).Began(s).Suspended().Runs(0).Runs(1),
       "stop e0 Suspended; stop e1 Suspended"},
      {"suspended from the start", Story().Unresolved().Suspended(), ""},
      {"a suspended job has no deadline",
       Story().Deadline(60 * s).Began(99 * s).Suspended(), ""},
      {"while its volume is restored it is stopped",
       Story().Wants(5, 2).Began(s).Held().Runs(0), "stop e0 Held"},
      {"and nothing is started", Story().Began(s).Held(), ""},
      {"its deadline goes on",
       Story().Deadline(60 * s).Began(60 * s).Held().Runs(0),
       "stop e0 JobFinished; Failed DeadlineExceeded"},
      {"finished jobs rest", Story().Is("Complete", s).Counted(1, 0),
       "Complete"},
      {"until their time is over",
       Story().Is("Complete", 9 * s).Counted(1, 0).Ttl(10 * s), "Complete"},
      {"and then go", Story().Is("Complete", 10 * s).Counted(1, 0).Ttl(10 * s),
       "expire; Complete"},
      {"failed ones too", Story().Is("Failed", 10 * s).Ttl(10 * s),
       "expire; Failed"},
      {"deleted", Story().Deleted().Runs(0), "stop e0 Deleted"},
      {"waits for what is stopped", Story().Deleted().Leaves(0), ""},
      {"and goes last", Story().Deleted(), "gone"},
      {"waits for its dependencies", Story().Unmet("waits for service db"), ""},
      {"parallelism goes down: the youngest go",
       Story().Wants(9, 1).Runs(0).Runs(1).Runs(2),
       "stop e2 ScaledDown; stop e1 ScaledDown"},
      {"the host goes down", Story().Wants(5, 2).ShuttingDown().Runs(0),
       "stop e0 HostShutdown"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Tell(PlanJob(c.story.view)), c.expected) << c.name;
  }
}

TEST(PlanJobTest, WakesForWhatTimeBrings) {
  const absl::Duration s = absl::Seconds(1);
  const absl::Time now = Story().view.now;
  EXPECT_EQ(PlanJob(Story().Ended("Error", 4 * s).view).wake_at, now + 6 * s);
  EXPECT_EQ(
      PlanJob(Story().Deadline(60 * s).Began(50 * s).Runs(0).view).wake_at,
      now + 10 * s);
  EXPECT_EQ(PlanJob(Story().Is("Complete", 4 * s).Ttl(10 * s).view).wake_at,
            now + 6 * s);
  EXPECT_EQ(PlanJob(Story().Unmet("waits").view).wake_at, now + s);
  EXPECT_EQ(PlanJob(Story().Runs(0).view).wake_at, absl::InfiniteFuture());
}

TEST(PlanJobTest, WhatLookingAgainWouldNotFindIsDurable) {
  const absl::Duration s = absl::Seconds(1);
  EXPECT_TRUE(PlanJob(Story().view).durable_status);  // the start
  EXPECT_TRUE(PlanJob(Story().Began(s).Ended("Error", s).view).durable_status);
  EXPECT_TRUE(PlanJob(Story().Began(s).Suspended().view).durable_status);
  EXPECT_FALSE(PlanJob(Story().Began(s).Runs(0).view).durable_status);
}

TEST(PlanJobTest, WhenSuspendedAndResumed_TheDeadlineBeginsAnew) {
  const absl::Duration s = absl::Seconds(1);
  Story story = Story().Deadline(60 * s).Began(50 * s).Suspended();
  JobPlan plan = PlanJob(story.view);
  EXPECT_FALSE(plan.status.has_start_time());
  EXPECT_EQ(Reason(plan.status, "Suspended"), "Suspended");
  *story.view.job.mutable_status() = plan.status;
  story.view.job.mutable_spec()->set_suspend(false);
  story.view.now += absl::Hours(1);
  plan = PlanJob(story.view);
  EXPECT_EQ(ToTime(plan.status.start_time()), story.view.now);
  EXPECT_EQ(Reason(plan.status, "Suspended"), "Resumed");
  EXPECT_EQ(Tell(plan), "start 0");
}

TEST(PlanJobTest, SaysWhatItWaitsFor) {
  const absl::Duration s = absl::Seconds(1);
  EXPECT_EQ(Reason(PlanJob(Story().Unresolved().view).status, "Progressing"),
            "ResolvingImages");
  EXPECT_EQ(Reason(PlanJob(Story().Unmet("x").view).status, "Progressing"),
            "WaitingForDependencies");
  EXPECT_EQ(
      Reason(PlanJob(Story().Ended("Error", s).view).status, "Progressing"),
      "BackOff");
  EXPECT_EQ(Reason(PlanJob(Story().Runs(0).view).status, "Progressing"),
            "Executing");
}

TEST(PlanJobTest, WhenItHasFailed_TellsTheLastCause) {
  const JobPlan plan =
      PlanJob(Story().Limit(0).Ended("OOMKilled", absl::Seconds(1)).view);
  const v1::Condition* failed =
      FindCondition(plan.status.conditions(), "Failed");
  ASSERT_NE(failed, nullptr);
  EXPECT_THAT(failed->message(), HasSubstr("it ended: OOMKilled"));
  ASSERT_EQ(plan.events.size(), 1u);
  EXPECT_EQ(plan.events[0].reason, "JobFailed");
}

TEST(PlanJobTest, WhenTheTemplateChangedBeforeItBegan_TheOldRevisionGoes) {
  Story story;
  story.view.job.mutable_spec()->mutable_containers(0)->set_image("app:2");
  JobPlan plan = PlanJob(story.view);
  EXPECT_EQ(Tell(plan), "resolve");
  EXPECT_THAT(plan.prune, IsEmpty());
  v1::Revision second = story.view.revisions[0];
  second.mutable_metadata()->set_name("job.import-2");
  second.set_number(2);
  *second.mutable_template_() = TemplateOf(story.view.job.spec());
  story.view.revisions.push_back(second);
  plan = PlanJob(story.view);
  ASSERT_EQ(plan.create.size(), 1u);
  EXPECT_EQ(plan.create[0].revision, 2);
  EXPECT_THAT(plan.prune, ElementsAre("job.import-1"));
}

}  // namespace
}  // namespace bulwark::scheduler
