// Random histories of the pure planners: what they decide is carried out at
// once, fate decides the rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/cron.h"
#include "base/entropy.h"
#include "scheduler/jobs/cron_plan.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/jobs/plan.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

class JobHistory {
 public:
  explicit JobHistory(uint64_t seed) : random_(seed) {
    view_.now = absl::FromUnixSeconds(1893456000);
    v1::JobSpec& spec = *view_.job.mutable_spec();
    spec.set_completions(1 + Pick(12));
    spec.set_parallelism(1 + Pick(5));
    spec.set_backoff_limit(Pick(40));
    if (Pick(3) == 0) spec.mutable_active_deadline()->set_seconds(Pick(3000));
    spec.add_containers()->set_image("app:1");
    view_.job.mutable_metadata()->set_uid("job");
    v1::Revision r;
    r.set_number(1);
    *r.mutable_template_() = TemplateOf(spec);
    view_.revisions = {r};
  }

  void Run() {
    for (int step = 0; step < 4000 && !IsFinished(view_.job); ++step) {
      Settle();
      Fate();
      view_.now += absl::Seconds(Pick(8) == 0 ? Pick(400) : Pick(5));
      if (::testing::Test::HasFailure()) return;
    }
    view_.job.mutable_spec()->set_suspend(false);
    for (int step = 0; step < 100000 && !IsFinished(view_.job); ++step) {
      Settle();
      EndOne(0);
      view_.now += absl::Seconds(5);
    }
    Settle();
    ASSERT_TRUE(IsFinished(view_.job)) << view_.job.ShortDebugString();
    if (IsComplete(view_.job)) {
      EXPECT_EQ(view_.job.status().succeeded(), view_.job.spec().completions());
    }
  }

 private:
  uint64_t Pick(uint64_t n) { return random_.Next() % n; }

  void Settle() {
    for (int i = 0;; ++i) {
      ASSERT_LT(i, 20) << "the planner never comes to rest";
      const JobPlan plan = PlanJob(view_);
      *view_.job.mutable_status() = plan.status;
      for (v1::Replica& r : view_.executions) {
        const std::string& uid = r.metadata().uid();
        if (std::find(plan.count.begin(), plan.count.end(), uid) !=
            plan.count.end()) {
          ASSERT_TRUE(HasEnded(r));
          ASSERT_TRUE(counted_.insert(uid).second) << uid << " counted twice";
          r.mutable_spec()->set_reason(kCountedReason);
        }
        for (const StopReplica& stop : plan.stop) {
          if (stop.uid == uid)
            r.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
        }
      }
      for (const NewReplica& wanted : plan.create) Create(wanted);
      CheckInvariants();
      if (plan.IdleApartFromStatus()) return;
    }
  }

  void Create(const NewReplica& wanted) {
    ASSERT_FALSE(IsFinished(view_.job));
    v1::Replica r;
    r.mutable_metadata()->set_uid(absl::StrCat("e", next_++));
    r.mutable_spec()->set_slot(wanted.slot);
    r.mutable_spec()->set_attempt(wanted.attempt);
    r.mutable_spec()->set_goal(v1::ReplicaSpec::RUN);
    r.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
    SetTime(r.mutable_metadata()->mutable_create_time(), view_.now);
    view_.executions.push_back(r);
  }

  void CheckInvariants() {
    std::set<int> slots;
    int live = 0;
    for (const v1::Replica& r : view_.executions) {
      if (HasEnded(r)) continue;
      ++live;
      ASSERT_TRUE(slots.insert(r.spec().slot()).second) << "a slot held twice";
    }
    ASSERT_LE(live, most_);
    ASSERT_LE(view_.job.status().succeeded(), view_.job.spec().completions());
    ASSERT_EQ(view_.job.status().succeeded(), successes_ - Uncounted());
    // Reaped as the reaper does: what was counted long ago goes.
    if (view_.executions.size() > 30) {
      for (auto it = view_.executions.begin(); it != view_.executions.end();) {
        if (view_.executions.size() > 15 && HasEnded(*it) && IsCounted(*it)) {
          it = view_.executions.erase(it);
        } else {
          ++it;
        }
      }
    }
  }

  int Uncounted() const {
    return static_cast<int>(
        std::count_if(view_.executions.begin(), view_.executions.end(),
                      [](const v1::Replica& r) {
                        return HasEnded(r) && !IsCounted(r) &&
                               OutcomeOf(r) == Outcome::kSucceeded;
                      }));
  }

  void Fate() {
    switch (Pick(12)) {
      case 0:
        view_.job.mutable_spec()->set_suspend(!view_.job.spec().suspend());
        return;
      case 1: {
        const int parallelism = 1 + Pick(5);
        view_.job.mutable_spec()->set_parallelism(parallelism);
        most_ = std::max(most_, parallelism);
        return;
      }
      case 2:  // the host is rebooted
        for (v1::Replica& r : view_.executions) {
          if (!HasEnded(r)) End(r, "HostReboot");
        }
        return;
      default:
        EndOne(Pick(3));
    }
  }

  void EndOne(int how) {
    std::vector<v1::Replica*> live;
    for (v1::Replica& r : view_.executions) {
      if (!HasEnded(r)) live.push_back(&r);
    }
    if (live.empty()) return;
    v1::Replica& r = *live[Pick(live.size())];
    if (r.spec().goal() == v1::ReplicaSpec::STOP && Pick(2) == 0) {
      r.mutable_status()->set_state(v1::ReplicaStatus::STOPPED);
      SetTime(r.mutable_status()->mutable_finish_time(), view_.now);
      return;
    }
    End(r, how == 0 ? "Completed" : "Error");
  }

  void End(v1::Replica& r, const char* reason) {
    r.mutable_status()->set_state(v1::ReplicaStatus::FAILED);
    r.mutable_status()->set_reason(reason);
    SetTime(r.mutable_status()->mutable_finish_time(), view_.now);
    successes_ += OutcomeOf(r) == Outcome::kSucceeded;
  }

  SeededEntropy random_;
  JobView view_;
  std::set<std::string> counted_;
  int next_ = 0;
  int most_ = 5;
  int successes_ = 0;
};

TEST(JobHistoryTest, CountsEachOnceAndNeverRunsTooMany) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    JobHistory(seed).Run();
    if (::testing::Test::HasFailure()) return;
  }
}

// Looks at a cron job at random times, with random jobs running: each time of
// the schedule is run once or not at all, in order, and the newest is never
// lost.
TEST(CronHistoryTest, RunsNoTimeTwiceAndLosesNotTheLatest) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    SeededEntropy random(seed);
    auto pick = [&](uint64_t n) { return random.Next() % n; };
    const char* const schedules[] = {"* * * * *", "*/5 * * * *", "30 2 * * *",
                                     "0 */3 * * *"};
    CronView view;
    view.now = absl::FromUnixSeconds(1900000000);
    view.cron_job.mutable_metadata()->set_name("c");
    view.cron_job.mutable_metadata()->set_uid(absl::StrCat("u", seed));
    v1::CronJobSpec& spec = *view.cron_job.mutable_spec();
    spec.set_schedule(schedules[pick(4)]);
    spec.set_time_zone(pick(2) == 0 ? "UTC" : "Europe/Berlin");
    spec.set_concurrency(
        static_cast<v1::CronJobSpec::Concurrency>(1 + pick(3)));
    if (pick(2) == 0) spec.mutable_jitter()->set_seconds(pick(100));
    const CronSchedule schedule = *CronSchedule::Parse(spec.schedule());
    const absl::TimeZone zone = *FindTimeZone(spec.time_zone());
    absl::Time last = absl::InfinitePast();
    for (int step = 0; step < 500; ++step) {
      const CronPlan plan = PlanCronJob(view);
      *view.cron_job.mutable_status() = plan.status;
      std::erase_if(view.jobs, [&](const v1::Job& job) {
        return std::find(plan.remove.begin(), plan.remove.end(),
                         job.metadata().name()) != plan.remove.end();
      });
      if (plan.run.has_value()) {
        ASSERT_GT(*plan.run, last);
        ASSERT_LE(*plan.run, view.now);
        ASSERT_EQ(schedule.Next(*plan.run - absl::Seconds(1), zone), *plan.run);
        // Nothing newer was due.
        ASSERT_GT(schedule.Next(*plan.run, zone), view.now);
        last = *plan.run;
        if (pick(2) == 0) {
          v1::Job job;
          job.mutable_metadata()->set_name(CronRunName("c", last));
          job.mutable_status()->set_active(1);
          view.jobs.push_back(job);
        }
        if (spec.concurrency() == v1::CronJobSpec::FORBID) {
          ASSERT_LE(view.jobs.size(), 1u);
        }
      }
      if (pick(3) == 0) view.jobs.clear();
      ASSERT_TRUE(view.cron_job.status().has_next_schedule_time());
      view.now += pick(10) == 0 ? absl::Minutes(pick(3000))
                                : absl::Seconds(1 + pick(90));
    }
    ASSERT_GT(last, absl::InfinitePast());
  }
}

}  // namespace
}  // namespace bulwark::scheduler
