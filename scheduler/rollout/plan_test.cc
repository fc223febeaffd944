#include "scheduler/rollout/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/conditions.h"
#include "scheduler/rollout/world.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

World Steady() {
  return World().Declares(1).Replicas(3).Revision(1).Good().Running(1,
                                                                    {0, 1, 2});
}
// Revision 2 has just been declared.
World Rolling() {
  return Steady().Declares(2).Revision(2).Begun(absl::Seconds(5));
}

TEST(PlanServiceTest, DecidesWhatToMakeAndToStop) {
  struct Case {
    const char* name;
    World world;
    const char* expected;
  };
  const Case kCases[] = {
      {"first start", World().Declares(1).Replicas(3).Revision(1),
       "create 0@1, create 1@1, create 2@1"},
      {"no images yet", World().Declares(1).Replicas(3), ""},
      {"converged", Steady(), ""},
      {"scale up takes free slots",
       World().Declares(1).Replicas(4).Revision(1).Good().Running(1, {0, 3}),
       "create 1@1, create 2@1"},
      {"scale down takes the highest slots", Steady().Replicas(1),
       "stop 2@1 ScaledDown, stop 1@1 ScaledDown"},
      {"scale down takes unready ones first",
       World()
           .Declares(1)
           .Replicas(2)
           .Revision(1)
           .Good()
           .Unready(1, {0})
           .Running(1, {1, 2}),
       "stop 0@1 ScaledDown"},
      {"heal at once", Steady().Replicas(4).Crashed(1, 3, absl::ZeroDuration()),
       "create 3@1"},
      {"a draining replica holds its slot",
       World().Declares(1).Replicas(1).Revision(1).Good().Draining(1, {0}),
       "create 1@1"},
      {"rolling begins with the surge", Rolling(), "create 3@2"},
      {"nothing stops before the new one is available",
       Rolling().Running(2, {3}, absl::Seconds(9)), ""},
      {"then one old goes, the lowest slot first",
       Rolling().Running(2, {3}, absl::Seconds(10)), "stop 0@1 Replaced"},
      {"unready old ones go first",
       World()
           .Declares(2)
           .Replicas(2)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Seconds(60))
           .Running(1, {0})
           .Unready(1, {1})
           .Running(2, {2}),
       "stop 1@1 Replaced"},
      {"a larger surge", Rolling().Surge(3, 0),
       "create 3@2, create 4@2, create 5@2"},
      {"without surge an old one goes first", Rolling().Surge(0, 1),
       "stop 0@1 Replaced"},
      {"without surge nor slack as if with slack", Rolling().Surge(0, 0),
       "stop 0@1 Replaced"},
      {"the last old one goes",
       World()
           .Declares(2)
           .Replicas(2)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Seconds(60))
           .Running(1, {0})
           .Running(2, {1, 2}),
       "stop 0@1 Replaced"},
      {"scale down during a rollout", Rolling().Replicas(2).Unready(2, {3}),
       "stop 0@1 Replaced"},
      {"an old one that crashes while the new is unproven comes back",
       World()
           .Declares(2)
           .Replicas(3)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Seconds(5))
           .Running(1, {0, 1})
           .Crashed(1, 2, absl::Seconds(1))
           .Unready(2, {3}),
       "create 2@1"},
      {"once the new is proven the new replaces it",
       World()
           .Declares(2)
           .Replicas(3)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Seconds(60))
           .Running(1, {0, 1})
           .Crashed(1, 2, absl::Seconds(1))
           .Running(2, {3}),
       "create 2@2"},
      {"recreate stops all", Rolling().Recreate(),
       "stop 0@1 Replaced, stop 1@1 Replaced, stop 2@1 Replaced"},
      {"recreate waits for the last",
       World()
           .Declares(2)
           .Replicas(1)
           .Recreate()
           .Revision(1)
           .Good()
           .Revision(2)
           .Draining(1, {0}),
       ""},
      {"recreate then starts all",
       World().Declares(2).Replicas(2).Recreate().Revision(1).Good().Revision(
           2),
       "create 0@2, create 1@2"},
      {"slot volumes: the slot is waited for",
       World()
           .Declares(1)
           .Replicas(1)
           .Revision(1)
           .Draining(1, {0})
           .SlotVolumes(),
       ""},
      {"slot volumes, scaled down meanwhile: who goes anyway is no support",
       World()
           .Declares(2)
           .Replicas(3)
           .Surge(0, 1)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Seconds(60))
           .Running(1, {2})
           .Running(2, {0, 3})
           .Unready(2, {1})
           .SlotVolumes(),
       "stop 3@2 ScaledDown"},
      {"policy never: the end is the end",
       World()
           .Declares(1)
           .Replicas(1)
           .Policy(v1::Restart::NEVER)
           .Revision(1)
           .Good()
           .Crashed(1, 0, absl::Seconds(1)),
       ""},
      {"policy on-failure: an error is replaced",
       World()
           .Declares(1)
           .Replicas(1)
           .Policy(v1::Restart::ON_FAILURE)
           .Revision(1)
           .Good()
           .Crashed(1, 0, absl::Seconds(1)),
       "create 0@1"},
      {"policy on-failure: success is not",
       World()
           .Declares(1)
           .Replicas(1)
           .Policy(v1::Restart::ON_FAILURE)
           .Revision(1)
           .Good()
           .Crashed(1, 0, absl::Seconds(1), 0, absl::Seconds(1), "Completed"),
       ""},
      {"undo runs the old revision again",
       World()
           .Declares(1)
           .Replicas(1)
           .Revision(1)
           .Good()
           .Revision(2)
           .Begun(absl::Minutes(9))
           .Complete(absl::Minutes(8))
           .Running(2, {0}),
       "create 1@1"},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(Actions(c.world), c.expected) << c.name;
  }
}

TEST(PlanServiceTest, WhenSlotVolumesAreDeclaredButNotResolved_NothingMoves) {
  World world =
      World().Declares(1).Replicas(2).Revision(1).Good().Running(1, {1, 4});
  // Another template, of which there is no revision yet.
  world.view.service.mutable_spec()
      ->mutable_containers(0)
      ->add_volumes()
      ->set_per_replica(true);
  EXPECT_EQ(Actions(world), "");
  EXPECT_TRUE(world.Plan().needs_revision);
}

TEST(PlanServiceTest, WhenStopped_EverythingStopsAndNothingStarts) {
  World world = Rolling().Unready(2, {3});
  world.view.service.mutable_spec()->set_stopped(true);
  EXPECT_EQ(Actions(world),
            "stop 3@2 Stopped, stop 0@1 Stopped, stop 1@1 Stopped, "
            "stop 2@1 Stopped");
  world.view.replicas.clear();
  EXPECT_EQ(Actions(world), "");
}

TEST(PlanServiceTest, WhenDeleted_IsFinishedOnlyWithoutRecords) {
  World world = Steady();
  SetTime(world.view.service.mutable_metadata()->mutable_delete_time(),
          world.view.now);
  ServicePlan plan = world.Plan();
  EXPECT_THAT(plan.stop, SizeIs(3));
  EXPECT_EQ(plan.stop[0].reason, "Deleted");
  EXPECT_FALSE(plan.deleted);
  for (v1::Replica& r : world.view.replicas) {
    r.mutable_status()->set_state(v1::ReplicaStatus::STOPPED);
  }
  EXPECT_FALSE(world.Plan().deleted);
  world.view.replicas.clear();
  EXPECT_TRUE(world.Plan().deleted);
}

TEST(PlanServiceTest, WhenTheHostGoesDown_EverythingStops) {
  World world = Steady();
  world.view.shutting_down = true;
  EXPECT_EQ(Actions(world),
            "stop 0@1 HostShutdown, stop 1@1 HostShutdown, "
            "stop 2@1 HostShutdown");
}

TEST(PlanServiceTest, WhenHeld_EverythingStopsWithoutADrainAndComesBack) {
  World world = Steady();
  world.view.held = "volume data is being restored";
  EXPECT_EQ(Actions(world), "stop 0@1 Held, stop 1@1 Held, stop 2@1 Held");
  const ServicePlan plan = world.Plan();
  EXPECT_TRUE(plan.stop.at(0).skip_drain);
  EXPECT_EQ(FindCondition(plan.status.conditions(), "Available")->reason(),
            "Held");
  world.view.replicas.clear();
  EXPECT_EQ(Actions(world), "");
  world.view.held = "";
  EXPECT_EQ(Actions(world), "create 0@1, create 1@1, create 2@1");
}

// A service of one replica that mounts the volume "data", for one writer.
World OneWriter() {
  World world = World().Declares(1).Replicas(1).Revision(1).Good();
  for (const int64_t revision : {1, 2}) {
    world.Declares(revision);
    world.view.service.mutable_spec()
        ->mutable_containers(0)
        ->add_volumes()
        ->set_volume("data");
    if (revision == 2) world.Revision(2);
    *world.view.revisions.back().mutable_template_() =
        TemplateOf(world.view.service.spec());
  }
  world.view.single_writer = {"data"};
  return world;
}

TEST(PlanServiceTest, WhenAVolumeIsForOneWriter_TheOldReplicaEndsFirst) {
  World world = OneWriter().Running(1, {0});
  ServicePlan plan = world.Plan();
  EXPECT_EQ(Actions(world), "stop 0@1 Replaced");
  EXPECT_TRUE(plan.stop.at(0).skip_drain);
  // While it ends nothing starts.
  World ending = OneWriter().Draining(1, {0});
  EXPECT_EQ(Actions(ending), "");
  World ended = OneWriter();
  EXPECT_EQ(Actions(ended), "create 0@2");
}

TEST(PlanServiceTest, WhenADependencyIsMissing_NothingOfTheTargetStarts) {
  World world = World().Declares(1).Replicas(2).Revision(1);
  world.view.unmet = {"waits for service db"};
  ServicePlan plan = world.Plan();
  EXPECT_THAT(plan.create, IsEmpty());
  EXPECT_THAT(plan.update, IsEmpty());  // the deadline does not run
  EXPECT_LT(plan.wake_at, world.view.now + absl::Seconds(2));
  const v1::Condition* c =
      FindCondition(plan.status.conditions(), "Progressing");
  EXPECT_EQ(c->reason(), "WaitingForDependencies");

  // What runs is healed all the same.
  world.Begun(absl::Hours(1)).Complete(absl::Hours(1)).Running(1, {0});
  EXPECT_EQ(Actions(world), "create 1@1");
}

TEST(PlanServiceTest, WhenRolloutBegins_ItsTimeIsLaterThanAllOthers) {
  World world = Steady().Declares(2).Revision(2);
  // The clock was set back by two hours meanwhile.
  world.view.now -= absl::Hours(2);
  ServicePlan plan = world.Plan();
  ASSERT_THAT(plan.update, SizeIs(1));
  EXPECT_EQ(plan.update[0].number(), 2);
  EXPECT_GT(ToTime(plan.update[0].rollout_time()),
            ToTime(world.view.revisions[0].rollout_time()));
}

TEST(PlanServiceTest, WhenAllAreAvailable_TheRevisionIsGood) {
  World world =
      World().Declares(1).Replicas(2).Revision(1).Begun(absl::Seconds(20));
  world.Running(1, {0}, absl::Seconds(11)).Running(1, {1}, absl::Seconds(4));
  ServicePlan plan = world.Plan();
  EXPECT_THAT(plan.update, IsEmpty());
  EXPECT_EQ(plan.wake_at, world.view.now + absl::Seconds(6));

  world.view.now += absl::Seconds(6);
  plan = world.Plan();
  ASSERT_THAT(plan.update, SizeIs(1));
  EXPECT_TRUE(plan.update[0].good());
  EXPECT_EQ(plan.status.last_good_revision(), 1);
  EXPECT_EQ(plan.status.available_replicas(), 2);
}

TEST(PlanServiceTest, WhenScaledToNothing_ARevisionIsNotCalledGood) {
  EXPECT_THAT(World().Declares(1).Replicas(0).Revision(1).Plan().update,
              IsEmpty());
}

TEST(PlanServiceTest, WhenHistoryIsLong_OldUnusedRevisionsGo) {
  World world = World().Declares(6).Replicas(1);
  world.view.service.mutable_spec()->mutable_rollout()->set_history(2);
  for (int i = 1; i <= 6; ++i) {
    world.Revision(i).Begun(absl::Hours(20 - i)).Complete(absl::Hours(20 - i));
  }
  world.Running(6, {0}).Draining(1, {1});
  // 6 runs, 5 is what one would go back to, 1 still has a replica.
  EXPECT_THAT(world.Plan().prune, ElementsAre("web-2"));
}

TEST(PlanServiceTest, WhenDaemonSeesOtherConditions_TheyStay) {
  World world = Steady();
  v1::Condition& c = *world.view.service.mutable_status()->add_conditions();
  c.set_type("PortsOpen");
  c.set_status(v1::Condition::FALSE);
  world.view.service.mutable_status()->set_virtual_address("10.211.0.7");
  const ServicePlan plan = world.Plan();
  ASSERT_NE(FindCondition(plan.status.conditions(), "PortsOpen"), nullptr);
  EXPECT_EQ(plan.status.virtual_address(), "10.211.0.7");
}

TEST(PlanServiceTest, WhenNothingChanges_TheStatusDoesNotEither) {
  World world = Rolling().Unready(2, {3});
  *world.view.service.mutable_status() = world.Plan().status;
  world.view.now += absl::Seconds(1);
  EXPECT_EQ(world.Plan().status.SerializeAsString(),
            world.view.service.status().SerializeAsString());
}

TEST(PlanServiceTest, WhenReplicasCrashInARow_SaysCrashLoopWithTheCause) {
  World world =
      World().Declares(1).Replicas(1).Revision(1).Begun(absl::Minutes(1));
  world.Crashed(1, 0, absl::Milliseconds(100), 3);
  const ServicePlan plan = world.Plan();
  EXPECT_THAT(plan.create, IsEmpty());
  EXPECT_GT(plan.wake_at, world.view.now);
  const v1::Condition* c = FindCondition(plan.status.conditions(), "CrashLoop");
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->status(), v1::Condition::TRUE);
  EXPECT_THAT(c->message(), HasSubstr("exited with status 1"));
}

TEST(PlanServiceTest, WhenOnlyLimitsChange_TheRevisionFollowsInPlace) {
  World world = Steady();
  v1::ResourceLimits& limits = *world.view.service.mutable_spec()
                                    ->mutable_containers(0)
                                    ->mutable_resources();
  limits.mutable_memory()->set_limit(64 << 20);

  ServicePlan plan = PlanService(world.view);

  EXPECT_FALSE(plan.needs_revision);
  EXPECT_THAT(plan.create, IsEmpty());
  EXPECT_THAT(plan.stop, IsEmpty());
  ASSERT_THAT(plan.update, SizeIs(1));
  EXPECT_EQ(plan.update[0].number(), 1);
  EXPECT_EQ(
      plan.update[0].template_().containers(0).resources().memory().limit(),
      64 << 20);
  // Then there is nothing more to do.
  world.view.revisions[0] = plan.update[0];
  EXPECT_TRUE(PlanService(world.view).IdleApartFromStatus());
  // The same without limits again.
  world.view.service.mutable_spec()->mutable_containers(0)->clear_resources();
  plan = PlanService(world.view);
  ASSERT_THAT(plan.update, SizeIs(1));
  EXPECT_FALSE(plan.update[0].template_().containers(0).has_resources());
}

TEST(PlanServiceTest, WhenLimitsAreRefused_SaysSoUntilTheyAreSet) {
  World world = Steady();
  v1::ContainerStatus& c =
      *world.view.replicas[1].mutable_status()->add_containers();
  c.set_name("web");
  c.set_running(true);
  c.set_message("its new limits are not set");
  v1::ServiceStatus status = PlanService(world.view).status;
  const v1::Condition* limits =
      FindCondition(status.conditions(), "LimitsApplied");
  ASSERT_NE(limits, nullptr);
  EXPECT_EQ(limits->reason(), "LimitsRefused");
  EXPECT_THAT(limits->message(), HasSubstr("its new limits are not set"));
  c.clear_message();
  *world.view.service.mutable_status() = status;
  status = PlanService(world.view).status;
  limits = FindCondition(status.conditions(), "LimitsApplied");
  ASSERT_NE(limits, nullptr);
  EXPECT_EQ(limits->status(), v1::Condition::TRUE);
}

}  // namespace
}  // namespace bulwark::scheduler
