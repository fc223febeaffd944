// Stories and random histories of jobs, with the real controllers.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "scheduler/jobs/cron_plan.h"
#include "scheduler/jobs/outcome.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "tests/sim/world.h"

namespace bulwark::sim {
namespace {

using scheduler::IsComplete;
using scheduler::IsFinished;

v1::Object MakeJob(const std::string& name, const std::string& image,
                   int completions, int parallelism) {
  v1::Object object;
  v1::Job& job = *object.mutable_job();
  job.mutable_metadata()->set_name(name);
  v1::JobSpec& spec = *job.mutable_spec();
  spec.set_completions(completions);
  spec.set_parallelism(parallelism);
  spec.set_backoff_limit(6);
  v1::Container& c = *spec.add_containers();
  c.set_name("work");
  c.set_image(image);
  return object;
}

v1::Job GetJob(World& world, const std::string& name) {
  auto object = scheduler::FindObject(world.store, "job", "default", name);
  EXPECT_TRUE(object.ok());
  return object.ok() && object->has_value() ? (*object)->job() : v1::Job();
}

std::vector<v1::Replica> Executions(World& world, const std::string& job) {
  auto replicas = scheduler::ListReplicasOfJob(world.store, "default", job);
  EXPECT_TRUE(replicas.ok());
  return replicas.value_or(std::vector<v1::Replica>());
}

class JobsTest : public ::testing::Test {
 protected:
  JobsTest() : world(1) {
    world.Publish("good:1",
                  {absl::InfiniteDuration(), absl::Milliseconds(1500), 0});
    world.Publish("bad:1",
                  {absl::InfiniteDuration(), absl::Milliseconds(500), 3});
    world.Publish("endless:1", {absl::Milliseconds(100)});
  }

  bool AwaitEnd(const std::string& job, absl::Duration limit) {
    return world.AdvanceUntil(limit,
                              [&] { return IsFinished(GetJob(world, job)); });
  }

  World world;
};

TEST_F(JobsTest, WhenAllSucceed_IsCompleteAndHoldsNoAddress) {
  world.ApplyObject(MakeJob("import", "good:1", 5, 2));
  ASSERT_TRUE(AwaitEnd("import", absl::Minutes(1)));
  world.Settle();
  const v1::Job job = GetJob(world, "import");
  EXPECT_TRUE(IsComplete(job)) << job.ShortDebugString();
  EXPECT_EQ(job.status().succeeded(), 5);
  EXPECT_EQ(job.status().failed(), 0);
  EXPECT_EQ(world.engine.start_count(), 5);
  // Logs of the last ones are kept, sandboxes are not.
  EXPECT_EQ(world.engine.List().size(), 5u);
  EXPECT_TRUE(world.network.ListSandboxes().empty());
  for (const v1::Replica& r : Executions(world, "import")) {
    EXPECT_EQ(r.spec().address(), "");
    EXPECT_EQ(r.status().reason(), "Completed");
  }
}

TEST_F(JobsTest, WhenThousandsRun_OnlyTheLastAreKept) {
  world.ApplyObject(MakeJob("many", "good:1", 200, 10));
  ASSERT_TRUE(AwaitEnd("many", absl::Hours(1)));
  world.Settle();
  EXPECT_EQ(world.engine.start_count(), 200);
  EXPECT_LE(Executions(world, "many").size(), 5u);
  EXPECT_LE(world.engine.List().size(), 5u);
}

TEST_F(JobsTest, WhenItFails_BacksOffAndGivesUp) {
  v1::Object object = MakeJob("bad", "bad:1", 1, 1);
  object.mutable_job()->mutable_spec()->set_backoff_limit(3);
  world.ApplyObject(object);
  const absl::Time begin = world.clock.Now();
  ASSERT_TRUE(AwaitEnd("bad", absl::Hours(1)));
  // 10 s, 20 s and 40 s between the four.
  EXPECT_GE(world.clock.Now() - begin, absl::Seconds(70));
  EXPECT_LE(world.clock.Now() - begin, absl::Seconds(80));
  const v1::Job job = GetJob(world, "bad");
  EXPECT_FALSE(IsComplete(job));
  EXPECT_EQ(job.status().failed(), 4);
  EXPECT_EQ(world.engine.start_count(), 4);
}

TEST_F(JobsTest, WhenTheDeadlinePasses_StopsWhatRuns) {
  v1::Object object = MakeJob("endless", "endless:1", 1, 1);
  object.mutable_job()->mutable_spec()->mutable_active_deadline()->set_seconds(
      20);
  world.ApplyObject(object);
  ASSERT_TRUE(AwaitEnd("endless", absl::Seconds(21)));
  ASSERT_TRUE(world.AdvanceUntil(absl::Minutes(1), [&] {
    return GetJob(world, "endless").status().active() == 0;
  }));
  EXPECT_EQ(GetJob(world, "endless").status().succeeded(), 0);
}

TEST_F(JobsTest, WhenDeleted_NothingIsLeft) {
  world.ApplyObject(MakeJob("endless", "endless:1", 3, 3));
  world.Advance(absl::Seconds(5));
  ASSERT_EQ(Executions(world, "endless").size(), 3u);
  world.Delete("endless", "job");
  ASSERT_TRUE(world.AdvanceUntil(absl::Minutes(2), [&] {
    return GetJob(world, "endless").metadata().name().empty();
  }));
  world.Settle();
  EXPECT_TRUE(world.engine.List().empty());
  EXPECT_TRUE(world.network.ListSandboxes().empty());
  auto revisions =
      scheduler::ListRevisionsOf(world.store, "job", "default", "endless");
  ASSERT_TRUE(revisions.ok());
  EXPECT_TRUE(revisions->empty());
}

TEST_F(JobsTest, WhenTimeToLiveIsOver_GoesByItself) {
  v1::Object object = MakeJob("brief", "good:1", 1, 1);
  object.mutable_job()
      ->mutable_spec()
      ->mutable_ttl_after_finished()
      ->set_seconds(30);
  world.ApplyObject(object);
  ASSERT_TRUE(AwaitEnd("brief", absl::Minutes(1)));
  world.Advance(absl::Seconds(29));
  EXPECT_EQ(GetJob(world, "brief").metadata().name(), "brief");
  world.Advance(absl::Seconds(2));
  EXPECT_EQ(GetJob(world, "brief").metadata().name(), "");
  EXPECT_TRUE(world.engine.List().empty());
}

TEST_F(JobsTest, WhenAServiceWaitsForAJob_StartsAfterItsEnd) {
  v1::Service web = World::MakeService("web", "endless:1", 1);
  v1::Dependency& d = *web.mutable_spec()->add_depends_on();
  d.set_service("migrate");
  d.set_condition(v1::Dependency::COMPLETED);
  world.Apply(web);
  world.Advance(absl::Seconds(5));
  EXPECT_TRUE(world.Live("web").empty());
  world.ApplyObject(MakeJob("migrate", "good:1", 1, 1));
  ASSERT_TRUE(AwaitEnd("migrate", absl::Minutes(1)));
  ASSERT_TRUE(world.AdvanceUntil(absl::Seconds(5),
                                 [&] { return world.Available("web") == 1; }));
  // It has completed, and stays so.
  world.Reboot();
  EXPECT_TRUE(world.AdvanceUntil(absl::Seconds(10),
                                 [&] { return world.Available("web") == 1; }));
  EXPECT_EQ(GetJob(world, "migrate").status().succeeded(), 1);
}

// What all executions of a job run; empty if that is not one image.
std::string DigestOf(World& world, const std::string& job) {
  auto revisions =
      scheduler::ListRevisionsOf(world.store, "job", "default", job);
  if (!revisions.ok() || revisions->size() != 1) return "";
  const auto& digests = (*revisions)[0].image_digests();
  return digests.empty() ? "" : digests.begin()->second;
}

// As of a service's revision: what runs does not move with the tag, also not if
// the same job is applied again.
TEST_F(JobsTest, WhenTheTagMovesInTheMiddle_AllExecutionsRunOneImage) {
  v1::Object job = MakeJob("import", "good:1", 4, 1);
  job.mutable_job()->mutable_spec()->mutable_containers(0)->set_pull(
      v1::Container::ALWAYS);
  world.ApplyObject(job);
  ASSERT_TRUE(world.AdvanceUntil(absl::Minutes(1), [&] {
    return GetJob(world, "import").status().succeeded() == 1;
  }));
  const std::string first = DigestOf(world, "import");
  ASSERT_NE(first, "");
  world.Publish("good:1", {absl::InfiniteDuration(), absl::Seconds(1), 3}, 2);
  world.ApplyObject(job);
  world.CrashDaemon();
  ASSERT_TRUE(AwaitEnd("import", absl::Minutes(1)));
  EXPECT_TRUE(IsComplete(GetJob(world, "import")));
  EXPECT_EQ(DigestOf(world, "import"), first);
  // Nor does one that has ended begin anew.
  world.ApplyObject(job);
  world.Advance(absl::Minutes(1));
  EXPECT_EQ(Executions(world, "import").size(), 4u);
  EXPECT_EQ(DigestOf(world, "import"), first);
}

// Each run of a cron job is a job of its own, and asks what the tag means when
// it is made, as its policy says.
TEST_F(JobsTest, WhenTheTagMovesBetweenRuns_TheNextAsksAsItsPolicySays) {
  world.Publish("kept:1", {absl::InfiniteDuration(), absl::Seconds(1), 0});
  const auto cron_job = [](const std::string& name, const std::string& image,
                           v1::Container::PullPolicy pull) {
    v1::Object object;
    v1::CronJob& cron = *object.mutable_cron_job();
    cron.mutable_metadata()->set_name(name);
    cron.mutable_spec()->set_schedule("* * * * *");
    v1::JobSpec& job = *cron.mutable_spec()->mutable_job();
    job = MakeJob(name, image, 1, 1).job().spec();
    job.mutable_containers(0)->set_pull(pull);
    return object;
  };
  world.ApplyObject(cron_job("always", "good:1", v1::Container::ALWAYS));
  world.ApplyObject(cron_job("missing", "kept:1", v1::Container::MISSING));
  // Each kind's run of the next minute, once it has ended.
  const auto next_run = [&](std::string& always, std::string& missing) {
    const absl::Time minute = absl::FromUnixSeconds(
        (absl::ToUnixSeconds(world.clock.Now()) / 60 + 1) * 60);
    const std::string a = scheduler::CronRunName("always", minute);
    const std::string m = scheduler::CronRunName("missing", minute);
    ASSERT_TRUE(world.AdvanceUntil(absl::Seconds(110), [&] {
      return IsFinished(GetJob(world, a)) && IsFinished(GetJob(world, m));
    }));
    always = DigestOf(world, a);
    missing = DigestOf(world, m);
  };
  std::string always, missing, later, same;
  next_run(always, missing);
  ASSERT_NE(always, "");
  ASSERT_NE(missing, "");
  for (const char* image : {"good:1", "kept:1"}) {
    world.Publish(image, {absl::InfiniteDuration(), absl::Seconds(1), 0}, 2);
  }
  world.images.FailPulls(absl::UnavailableError("registry is down"), 2);
  world.CrashDaemon();
  next_run(later, same);
  EXPECT_EQ(later, *world.images.Lookup("good:1"));
  EXPECT_NE(later, always);
  EXPECT_EQ(same, missing);
  world.Delete("always", "cron-job");
  world.Delete("missing", "cron-job");
}

// A job and a service may have one name.
TEST_F(JobsTest, WhenAServiceHasTheSameName_TheyDoNotMeet) {
  world.Apply(World::MakeService("same", "endless:1", 2));
  world.ApplyObject(MakeJob("same", "good:1", 3, 1));
  ASSERT_TRUE(AwaitEnd("same", absl::Minutes(1)));
  world.Settle();
  EXPECT_EQ(world.Live("same").size(), 2u);
  world.Delete("same", "job");
  ASSERT_TRUE(world.AdvanceUntil(
      absl::Minutes(1), [&] { return Executions(world, "same").empty(); }));
  EXPECT_EQ(world.Live("same").size(), 2u);
  EXPECT_EQ(world.Revisions("same").size(), 1u);
}

// Whatever fails and dies on the way: exactly as many succeed as were asked
// for, and each is counted.
class JobHistory {
 public:
  explicit JobHistory(uint64_t seed) : world_(seed), random_(seed * 7919 + 1) {
    world_.Publish("work:1", {absl::InfiniteDuration(),
                              absl::Milliseconds(100 + Pick(3000)), 0});
    world_.after_step = [this] { Look(); };
  }

  void Run() {
    completions_ = 1 + Pick(8);
    v1::Object job = MakeJob("job", "work:1", completions_, 1 + Pick(4));
    job.mutable_job()->mutable_spec()->set_backoff_limit(10000);
    world_.ApplyObject(job);
    for (int i = 0; i < 40; ++i) {
      Act();
      world_.Advance(
          absl::Milliseconds(Pick(4) == 0 ? Pick(20000) : Pick(3000)));
      if (::testing::Test::HasFailure()) return;
    }
    world_.SetFault(nullptr);
    world_.engine.SetStartHook(nullptr);
    world_.images.FailPulls(absl::OkStatus(), 0);
    Suspend(false);
    ASSERT_TRUE(world_.AdvanceUntil(absl::Hours(3), [this] {
      return IsFinished(GetJob(world_, "job"));
    })) << GetJob(world_, "job").ShortDebugString();
    world_.Settle();
    const v1::Job end = GetJob(world_, "job");
    EXPECT_TRUE(IsComplete(end)) << end.ShortDebugString();
    EXPECT_EQ(end.status().succeeded(), completions_);
    EXPECT_EQ(successes_.size(), static_cast<size_t>(completions_));
    EXPECT_TRUE(world_.network.ListSandboxes().empty());
    const int starts = world_.engine.start_count();
    world_.CrashDaemon();
    world_.Advance(absl::Minutes(10));
    EXPECT_EQ(world_.engine.start_count(), starts);
  }

 private:
  uint64_t Pick(uint64_t n) { return random_.Next() % n; }

  void Look() {
    std::set<std::string> running;
    for (const engine::ContainerInfo& c : world_.engine.List()) {
      if (c.state == engine::ContainerState::kRunning) {
        running.insert(c.id);
      } else if (c.exit.code == 0) {
        successes_.insert(c.id);
      }
    }
    const int most = GetJob(world_, "job").spec().parallelism();
    ASSERT_LE(static_cast<int>(running.size()), most);
    ASSERT_LE(GetJob(world_, "job").status().succeeded(), completions_);
  }

  void Suspend(bool suspend) {
    v1::Object object;
    *object.mutable_job() = GetJob(world_, "job");
    object.mutable_job()->mutable_spec()->set_suspend(suspend);
    world_.ApplyObject(object);
  }

  void Act() {
    switch (Pick(10)) {
      case 0:
      case 1:
        world_.CrashOneContainer(random_);
        return;
      case 2:
        return world_.CrashDaemon();
      case 3:
        return Pick(3) == 0 ? world_.Reboot() : world_.CrashDaemon();
      case 4:
      case 5:
        return CrashInTheMiddle();
      case 6:
        return FailCommits();
      case 7:
        return world_.images.FailPulls(absl::UnavailableError("down"), 2);
      case 8:
        return Suspend(Pick(2) == 0);
      default:
        return FailStarts();
    }
  }

  // From some commit on nothing is written any more, until the daemon is back.
  void CrashInTheMiddle() {
    auto left = std::make_shared<int>(Pick(8));
    world_.SetFault([left](const store::Batch&) -> absl::Status {
      if (--*left >= 0) return absl::OkStatus();
      return absl::UnavailableError("killed");
    });
    for (int i = 0; i < 200 && *left >= 0 && world_.StepOnce(); ++i) {
    }
    world_.SetFault(nullptr);
    world_.CrashDaemon();
  }

  void FailCommits() {
    auto left = std::make_shared<int>(1 + Pick(4));
    world_.SetFault([left](const store::Batch&) -> absl::Status {
      if (--*left < 0) return absl::OkStatus();
      return absl::ResourceExhaustedError("disk full");
    });
  }

  void FailStarts() {
    auto left = std::make_shared<int>(1 + Pick(3));
    world_.engine.SetStartHook(
        [left](const engine::ContainerSpec&) -> absl::Status {
          if (--*left < 0) return absl::OkStatus();
          return absl::UnavailableError("shim hung");
        });
  }

  World world_;
  SeededEntropy random_;
  int completions_ = 0;
  std::set<std::string> successes_;  // containers
};

TEST(JobHistoriesTest, EachExecutionIsCountedOnce) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    JobHistory(seed).Run();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(CronHistoriesTest, NoTimeIsRunTwiceOrLost) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    SeededEntropy random(seed);
    world.Publish("work:1", {absl::InfiniteDuration(), absl::Seconds(2), 0});
    std::map<std::string, std::string> uids;  // by name
    world.after_step = [&] {
      auto jobs = store::ListObjects(world.store, "job");
      ASSERT_TRUE(jobs.ok());
      for (const v1::Object& o : jobs->objects) {
        const v1::Metadata& m = o.job().metadata();
        auto [it, added] = uids.emplace(m.name(), m.uid());
        ASSERT_EQ(it->second, m.uid()) << m.name() << " was made twice";
      }
    };
    v1::Object object;
    v1::CronJob& cron = *object.mutable_cron_job();
    cron.mutable_metadata()->set_name("tick");
    cron.mutable_spec()->set_schedule("* * * * *");
    *cron.mutable_spec()->mutable_job() =
        MakeJob("tick", "work:1", 1, 1).job().spec();
    world.ApplyObject(object);
    const absl::Time begin = world.clock.Now();
    while (world.clock.Now() < begin + absl::Minutes(30)) {
      world.Advance(absl::Milliseconds(random.Next() % 40000));
      if (random.Next() % 2 == 0) world.CrashDaemon();
      if (::testing::Test::HasFailure()) return;
    }
    world.Settle();
    for (absl::Time t = begin + absl::Minutes(1);
         t <= world.clock.Now() - absl::Minutes(1); t += absl::Minutes(1)) {
      EXPECT_TRUE(uids.contains(scheduler::CronRunName("tick", t)));
    }
    auto jobs = store::ListObjects(world.store, "job");
    ASSERT_TRUE(jobs.ok());
    EXPECT_LE(jobs->objects.size(), 5u);  // three of history, and what runs
    world.Delete("tick", "cron-job");
    ASSERT_TRUE(world.AdvanceUntil(absl::Minutes(2), [&] {
      auto left = store::ListObjects(world.store, "cron-job");
      return left.ok() && left->objects.empty();
    }));
    world.Settle();
    jobs = store::ListObjects(world.store, "job");
    ASSERT_TRUE(jobs.ok());
    EXPECT_TRUE(jobs->objects.empty());
    EXPECT_TRUE(world.engine.List().empty());
  }
}

}  // namespace
}  // namespace bulwark::sim
