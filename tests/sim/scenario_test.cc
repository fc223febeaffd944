// Whole stories, with the real controllers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "scheduler/names.h"
#include "scheduler/times.h"
#include "tests/sim/world.h"

namespace bulwark::sim {
namespace {

using scheduler::ToTime;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr v1::Condition::Status kTrue = v1::Condition::TRUE;
constexpr v1::Condition::Status kFalse = v1::Condition::FALSE;

std::string ContainerOf(const v1::Replica& r) {
  return scheduler::ContainerId(r.metadata().uid(), r.spec().service(), 0);
}

class ScenarioTest : public ::testing::Test {
 protected:
  ScenarioTest() : world_(1) {
    world_.Publish("app:1", {});
    world_.Publish("app:2", {});
    world_.Publish("app:crash",
                   {absl::InfiniteDuration(), absl::Milliseconds(200), 3});
    world_.Publish("app:mute", {absl::InfiniteDuration()});
  }

  bool Is(const std::string& service, const std::string& type,
          v1::Condition::Status status) {
    const v1::Condition* c = world_.Condition(service, type);
    return c != nullptr && c->status() == status;
  }
  bool AwaitComplete(const std::string& service,
                     absl::Duration limit = absl::Minutes(5)) {
    return world_.AdvanceUntil(limit, [&] {
      auto s = world_.GetService(service);
      return s.has_value() &&
             s->status().observed_generation() == s->metadata().generation() &&
             Is(service, "Progressing", kFalse) &&
             Is(service, "Available", kTrue);
    });
  }
  void Deploy(const std::string& image, int replicas) {
    world_.Apply(World::MakeService("web", image, replicas));
    ASSERT_TRUE(AwaitComplete("web"));
  }

  World world_;
};

TEST_F(ScenarioTest, WhenApplied_ReplicasRunInTheLowestSlots) {
  Deploy("app:1", 3);
  const auto live = world_.Live("web");
  ASSERT_THAT(live, SizeIs(3));
  std::set<int> slots;
  std::set<std::string> addresses;
  for (const v1::Replica& r : live) {
    slots.insert(r.spec().slot());
    addresses.insert(r.spec().address());
  }
  EXPECT_EQ(slots, (std::set<int>{0, 1, 2}));
  EXPECT_THAT(addresses, SizeIs(3));
  EXPECT_EQ(world_.engine.start_count(), 3);
  EXPECT_EQ(world_.GetService("web")->status().virtual_address(), "10.211.0.1");
  ASSERT_THAT(world_.Revisions("web"), SizeIs(1));
  EXPECT_TRUE(world_.Revisions("web")[0].good());
}

TEST_F(ScenarioTest, WhenAContainerCrashes_ItIsReplacedAtTheSameInstant) {
  Deploy("app:1", 3);
  const v1::Replica victim = world_.Live("web")[1];
  world_.engine.Print(ContainerOf(victim), "out of cheese").IgnoreError();
  ASSERT_TRUE(world_.engine.Exit(ContainerOf(victim), 7).ok());
  const absl::Time before = world_.clock.Now();
  world_.Settle();
  EXPECT_EQ(world_.clock.Now(), before);
  const auto live = world_.Live("web");
  ASSERT_THAT(live, SizeIs(3));
  EXPECT_EQ(world_.engine.start_count(), 4);
  for (const v1::Replica& r : live) {
    if (r.spec().slot() != victim.spec().slot()) continue;
    EXPECT_NE(r.metadata().uid(), victim.metadata().uid());
    EXPECT_EQ(r.spec().address(), victim.spec().address());
    EXPECT_EQ(r.status().state(), v1::ReplicaStatus::RUNNING);
    EXPECT_EQ(r.spec().attempt(), 1);
  }
  const auto failed = world_.Events("ReplicaFailed");
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_THAT(failed[0].message(), HasSubstr("exited with status 7"));
  EXPECT_THAT(failed[0].message(), HasSubstr("out of cheese"));
}

TEST_F(ScenarioTest, WhenTheTemplateChanges_RollsWithoutLosingAvailability) {
  Deploy("app:1", 3);
  int least = 3, most = 0;
  world_.after_step = [&] {
    least = std::min(least, world_.Available("web"));
    most = std::max(most, static_cast<int>(world_.Live("web").size()));
  };
  Deploy("app:2", 3);
  EXPECT_EQ(least, 3);
  EXPECT_EQ(most, 4);
  for (const v1::Replica& r : world_.Live("web")) {
    EXPECT_EQ(r.spec().revision(), 2);
  }
  world_.Advance(absl::Minutes(1));
  EXPECT_THAT(world_.Replicas("web"), SizeIs(3));  // the old ones are reaped
  EXPECT_THAT(world_.engine.List(), SizeIs(3));
  EXPECT_THAT(world_.network.ListSandboxes(), SizeIs(3));
}

TEST_F(ScenarioTest, WhenTheNewRevisionCrashes_RollsBackAndFreezesIt) {
  Deploy("app:1", 3);
  int least = 3;
  world_.after_step = [&] { least = std::min(least, world_.Available("web")); };
  world_.Apply(World::MakeService("web", "app:crash", 3));
  ASSERT_TRUE(world_.AdvanceUntil(
      absl::Minutes(1), [&] { return Is("web", "RolledBack", kTrue); }));
  world_.Advance(absl::Minutes(1));
  EXPECT_EQ(least, 3);
  const auto revisions = world_.Revisions("web");
  ASSERT_THAT(revisions, SizeIs(2));
  EXPECT_THAT(revisions[1].failure(), HasSubstr("crash loop"));
  EXPECT_THAT(revisions[1].failure(), HasSubstr("exited with status 3"));
  EXPECT_EQ(world_.GetService("web")->status().revision(), 1);
  // The very same declaration again starts nothing.
  const int starts = world_.engine.start_count();
  world_.Apply(World::MakeService("web", "app:crash", 3));
  world_.Advance(absl::Minutes(1));
  EXPECT_EQ(world_.engine.start_count(), starts);
  // A changed one does.
  Deploy("app:2", 3);
  EXPECT_EQ(world_.GetService("web")->status().revision(), 3);
  EXPECT_FALSE(Is("web", "RolledBack", kTrue));
}

TEST_F(ScenarioTest, WhenTheNewRevisionNeverGetsReady_RollsBackAtTheDeadline) {
  Deploy("app:1", 2);
  world_.Apply(World::MakeService("web", "app:mute", 2));
  world_.Advance(absl::Minutes(9));
  EXPECT_FALSE(Is("web", "RolledBack", kTrue));
  world_.Advance(absl::Minutes(2));
  EXPECT_TRUE(Is("web", "RolledBack", kTrue));
  EXPECT_EQ(world_.Available("web"), 2);
}

TEST_F(ScenarioTest, WhenTheFirstRevisionCrashes_KeepsTryingWithBackOff) {
  world_.Apply(World::MakeService("web", "app:crash", 1));
  world_.Advance(absl::Minutes(10));
  EXPECT_TRUE(Is("web", "CrashLoop", kTrue));
  EXPECT_THAT(world_.Condition("web", "CrashLoop")->message(),
              HasSubstr("giving up"));
  // 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, …: about 7 + 8 starts.
  EXPECT_GE(world_.engine.start_count(), 12);
  EXPECT_LE(world_.engine.start_count(), 22);
  EXPECT_FALSE(Is("web", "RolledBack", kTrue));
}

TEST_F(ScenarioTest, WhenTheDaemonRestarts_TheBackOffGoesOn) {
  world_.Apply(World::MakeService("web", "app:crash", 1));
  world_.Advance(absl::Minutes(5));
  const int starts = world_.engine.start_count();
  for (int i = 0; i < 20; ++i) {
    world_.CrashDaemon();
    world_.Advance(absl::Seconds(1));
  }
  EXPECT_LE(world_.engine.start_count(), starts + 2);
}

TEST_F(ScenarioTest, WhenTheImageCannotBePulled_NothingStops) {
  Deploy("app:1", 2);
  world_.Apply(World::MakeService("web", "nowhere:1", 2));
  world_.Advance(absl::Minutes(1));
  EXPECT_EQ(world_.Available("web"), 2);
  ASSERT_TRUE(Is("web", "ImageResolved", kFalse));
  EXPECT_EQ(world_.Condition("web", "ImageResolved")->reason(),
            "ImageNotFound");
  // Healing goes on meanwhile.
  ASSERT_TRUE(world_.engine.Exit(ContainerOf(world_.Live("web")[0]), 1).ok());
  world_.Settle();
  EXPECT_THAT(world_.Live("web"), SizeIs(2));
  // And the next declaration is not held up.
  Deploy("app:2", 2);
  EXPECT_TRUE(Is("web", "ImageResolved", kTrue));
}

TEST_F(ScenarioTest, WhenTheRegistryIsDown_TheRolloutComesWhenItIsBack) {
  world_.images.FailPulls(absl::UnavailableError("registry is down"), 5);
  world_.Apply(World::MakeService("web", "app:1", 1));
  world_.Settle();
  EXPECT_EQ(world_.Condition("web", "ImageResolved")->reason(),
            "RegistryUnavailable");
  EXPECT_TRUE(AwaitComplete("web"));
  EXPECT_TRUE(Is("web", "ImageResolved", kTrue));
}

TEST_F(ScenarioTest, WhenScaled_HighestSlotsComeAndGo) {
  Deploy("app:1", 2);
  Deploy("app:1", 5);
  EXPECT_THAT(world_.Live("web"), SizeIs(5));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(1));
  Deploy("app:1", 1);
  ASSERT_THAT(world_.Live("web"), SizeIs(1));
  EXPECT_EQ(world_.Live("web")[0].spec().slot(), 0);
}

TEST_F(ScenarioTest, WhenStopping_DrainsThenSignalsThenKills) {
  Deploy("app:1", 1);
  const v1::Replica r = world_.Live("web")[0];
  world_.data_plane.SetActive(r.metadata().uid(), 3);
  world_.engine.SetExitOnTerm(false);
  v1::Service service = World::MakeService("web", "app:1", 1);
  service.mutable_spec()->set_stopped(true);
  world_.Apply(service);
  world_.Advance(absl::Seconds(29));
  EXPECT_THAT(world_.engine.SignalsOf(ContainerOf(r)), IsEmpty());
  world_.Advance(absl::Seconds(2));
  EXPECT_THAT(world_.engine.SignalsOf(ContainerOf(r)),
              ::testing::ElementsAre(SIGTERM));
  EXPECT_TRUE(world_.engine.Inspect(ContainerOf(r)).ok());
  world_.Advance(absl::Seconds(31));
  EXPECT_THAT(world_.engine.List(), IsEmpty());
  EXPECT_THAT(world_.network.ListSandboxes(), IsEmpty());
  // And up again.
  world_.engine.SetExitOnTerm(true);
  Deploy("app:1", 1);
}

TEST_F(ScenarioTest, WhenDeleted_NothingIsLeft) {
  Deploy("app:1", 3);
  world_.Delete("web");
  world_.Advance(absl::Minutes(2));
  EXPECT_FALSE(world_.GetService("web").has_value());
  EXPECT_THAT(world_.Replicas("web"), IsEmpty());
  EXPECT_THAT(world_.Revisions("web"), IsEmpty());
  EXPECT_THAT(world_.engine.List(), IsEmpty());
  EXPECT_THAT(world_.network.ListSandboxes(), IsEmpty());
}

TEST_F(ScenarioTest, WhenTheDaemonCrashes_ContainersRunOnAndAreNotDoubled) {
  Deploy("app:1", 3);
  world_.CrashDaemon();
  world_.Advance(absl::Minutes(1));
  EXPECT_EQ(world_.engine.start_count(), 3);
  EXPECT_THAT(world_.Live("web"), SizeIs(3));
}

TEST_F(ScenarioTest, WhenTheHostReboots_DependentsWaitForWhatTheyNeed) {
  v1::Service web = World::MakeService("web", "app:2", 1);
  v1::Dependency& d = *web.mutable_spec()->add_depends_on();
  d.set_service("db");
  d.set_condition(v1::Dependency::HEALTHY);
  world_.Apply(web);
  world_.Advance(absl::Seconds(5));
  EXPECT_THAT(world_.Live("web"), IsEmpty());
  EXPECT_THAT(world_.Condition("web", "DependenciesReady")->message(),
              HasSubstr("does not exist"));
  world_.Apply(World::MakeService("db", "app:1", 1));
  ASSERT_TRUE(AwaitComplete("web"));

  world_.Reboot();
  bool too_early = false;
  world_.after_step = [&] {
    too_early |= !world_.Live("web").empty() && world_.Available("db") == 0;
  };
  ASSERT_TRUE(AwaitComplete("web"));
  EXPECT_FALSE(too_early);
  EXPECT_EQ(world_.Available("db"), 1);
}

TEST_F(ScenarioTest, WhenTheStoreIsEmptyButContainersRun_NothingIsRemoved) {
  Deploy("app:1", 2);
  for (const v1::Replica& r : world_.Replicas("web")) {
    ASSERT_TRUE(world_.store
                    .Commit(store::Batch().Delete(
                        store::Key{"replica", "default", r.metadata().name()}))
                    .ok());
  }
  ASSERT_TRUE(
      world_.store
          .Commit(store::Batch()
                      .Delete(store::Key{"service", "default", "web"})
                      .Delete(store::Key{"revision", "default", "web-1"}))
          .ok());
  world_.CrashDaemon();
  world_.Settle();
  EXPECT_THAT(world_.engine.List(), SizeIs(2));
}

TEST_F(ScenarioTest, WhenARecordIsMissing_ItsContainerIsSweptAtStart) {
  Deploy("app:1", 2);
  const v1::Replica lost = world_.Live("web")[0];
  ASSERT_TRUE(world_.store
                  .Commit(store::Batch().Delete(
                      store::Key{"replica", "default", lost.metadata().name()}))
                  .ok());
  world_.CrashDaemon();
  world_.Advance(absl::Seconds(1));
  EXPECT_FALSE(world_.engine.Inspect(ContainerOf(lost)).ok());
  EXPECT_THAT(world_.Live("web"), SizeIs(2));
}

TEST_F(ScenarioTest, WhenUndone_TheOldRevisionReturnsWithItsDigests) {
  Deploy("app:1", 2);
  Deploy("app:2", 2);
  const int pulls = world_.images.pulls();
  Deploy("app:1", 2);
  EXPECT_EQ(world_.images.pulls(), pulls);
  EXPECT_EQ(world_.GetService("web")->status().revision(), 1);
  EXPECT_THAT(world_.Revisions("web"), SizeIs(2));
}

TEST_F(ScenarioTest, WhenTheRestartPolicyIsOnFailure_SuccessIsTheEnd) {
  world_.Publish("job:1", {absl::ZeroDuration(), absl::Seconds(1), 0});
  v1::Service service = World::MakeService("web", "job:1", 1);
  service.mutable_spec()->mutable_restart()->set_policy(
      v1::Restart::ON_FAILURE);
  world_.Apply(service);
  world_.Advance(absl::Minutes(10));
  EXPECT_EQ(world_.engine.start_count(), 1);
  // Stop and start run it once more.
  service.mutable_spec()->set_stopped(true);
  world_.Apply(service);
  world_.Advance(absl::Seconds(1));
  service.mutable_spec()->set_stopped(false);
  world_.Apply(service);
  world_.Advance(absl::Minutes(1));
  EXPECT_EQ(world_.engine.start_count(), 2);
}

TEST_F(ScenarioTest, WhenASlotOwnsAVolume_TheOldReplicaEndsFirst) {
  v1::Service service = World::MakeService("web", "app:1", 2);
  v1::VolumeMount& mount =
      *service.mutable_spec()->mutable_containers(0)->add_volumes();
  mount.set_volume("data");
  mount.set_path("/data");
  mount.set_per_replica(true);
  world_.Apply(service);
  ASSERT_TRUE(AwaitComplete("web"));
  int most = 0;
  world_.after_step = [&] {
    int running = 0;
    for (const engine::ContainerInfo& c : world_.engine.List()) {
      running += c.state == engine::ContainerState::kRunning;
    }
    most = std::max(most, running);
  };
  service.mutable_spec()->mutable_containers(0)->set_image("app:2");
  world_.Apply(service);
  ASSERT_TRUE(AwaitComplete("web"));
  EXPECT_EQ(most, 2);
  EXPECT_THAT(world_.volumes.List(), SizeIs(2));
  std::set<int> slots;
  for (const v1::Replica& r : world_.Live("web")) slots.insert(r.spec().slot());
  EXPECT_EQ(slots, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace bulwark::sim
