// When a rollout is taken back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "scheduler/conditions.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/rollout/world.h"

namespace bulwark::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Revision 2 has been rolling out for a minute, 1 still serves.
World Rolling() {
  return World()
      .Declares(2)
      .Replicas(3)
      .Revision(1)
      .Good()
      .Running(1, {0, 1, 2})
      .Revision(2)
      .Begun(absl::Minutes(1));
}

World ThreeCrashes(World world) {
  for (int i = 0; i < 3; ++i) {
    world.Crashed(2, 3, absl::Seconds(10 - i), i);
  }
  return world;
}

int64_t FailedRevision(const ServicePlan& plan) {
  for (const v1::Revision& r : plan.update) {
    if (!r.failure().empty()) return r.number();
  }
  return 0;
}

TEST(RollbackTest, DecidesWhenToTakeBack) {
  World complete = World()
                       .Declares(2)
                       .Replicas(3)
                       .Revision(1)
                       .Good()
                       .Revision(2)
                       .Begun(absl::Minutes(5))
                       .Complete(absl::Minutes(4));
  World old = World()
                  .Declares(2)
                  .Replicas(3)
                  .Revision(1)
                  .Good()
                  .Revision(2)
                  .Begun(absl::Minutes(50))
                  .Complete(absl::Minutes(40));
  World off = Rolling();
  off.view.service.mutable_spec()->mutable_rollout()->set_auto_rollback(false);
  World before = Rolling();
  for (int i = 0; i < 3; ++i) before.Crashed(2, 3, absl::Minutes(2), i);
  World reboot = Rolling();
  for (int i = 0; i < 3; ++i) {
    reboot.Crashed(2, 3, absl::Seconds(5), i, absl::Seconds(1), "HostReboot");
  }
  World twice = Rolling();
  for (int i = 0; i < 2; ++i) twice.Crashed(2, 3, absl::Seconds(5), i);
  World late = World()
                   .Declares(2)
                   .Replicas(3)
                   .Revision(1)
                   .Good()
                   .Running(1, {0, 1, 2})
                   .Revision(2)
                   .Begun(absl::Minutes(10))
                   .Unready(2, {3});
  World moving = World()
                     .Declares(2)
                     .Replicas(3)
                     .Revision(1)
                     .Good()
                     .Running(1, {1, 2})
                     .Revision(2)
                     .Begun(absl::Minutes(15))
                     .Running(2, {3}, absl::Minutes(6))
                     .Unready(2, {0});
  World first =
      World().Declares(2).Replicas(3).Revision(2).Begun(absl::Minutes(1));
  World rolled_back = World()
                          .Declares(2)
                          .Replicas(3)
                          .Revision(1)
                          .Begun(absl::Seconds(30))
                          .Complete(absl::Hours(1));
  rolled_back.Revision(2).Begun(absl::Minutes(1)).Failed("bad");
  for (int i = 0; i < 3; ++i) rolled_back.Crashed(1, i, absl::Seconds(5), i);

  const struct {
    const char* name;
    World world;
    int64_t failed;
  } kCases[] = {
      {"three crashes during the rollout", ThreeCrashes(Rolling()), 2},
      {"two are not enough", twice, 0},
      {"crashes from before it do not count", before, 0},
      {"a reboot is not its fault", reboot, 0},
      {"one that is available saves it",
       ThreeCrashes(Rolling()).Running(2, {4}), 0},
      {"shortly after it", ThreeCrashes(complete), 2},
      {"long after it", ThreeCrashes(old), 0},
      {"switched off", ThreeCrashes(off), 0},
      {"nothing to go back to", ThreeCrashes(first), 0},
      {"what was rolled back to stays", rolled_back, 0},
      {"no progress for the deadline", late, 2},
      {"progress extends it", moving, 0},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(FailedRevision(c.world.Plan()), c.failed) << c.name;
  }
}

TEST(RollbackTest, WhenTakenBack_TheSamePlanRunsTheGoodOneAgain) {
  World world = ThreeCrashes(Rolling()).Unready(2, {3});
  const ServicePlan plan = world.Plan();
  EXPECT_EQ(Actions(world, plan), "stop 3@2 RolledBack");
  ASSERT_THAT(plan.update, SizeIs(2));  // 2 failed, 1 begins (and is complete)
  EXPECT_EQ(plan.status.revision(), 1);
  const v1::Condition* c =
      FindCondition(plan.status.conditions(), "RolledBack");
  ASSERT_NE(c, nullptr);
  EXPECT_THAT(c->message(), HasSubstr("crash loop: 3 replicas failed"));
  EXPECT_THAT(c->message(), HasSubstr("exited with status 1"));
  EXPECT_EQ(plan.events[0].reason, "RolledBack");
}

TEST(RollbackTest, WhenTheDeadlineEnds_IsWokenThen) {
  World world = Rolling().Unready(2, {3});
  EXPECT_EQ(world.Plan().wake_at, world.view.now + absl::Minutes(9));
}

TEST(RollbackTest, WhenFrozen_ARevisionOfAnotherTemplateIsTried) {
  World world =
      World().Declares(3).Replicas(1).Revision(1).Good().Running(1, {0});
  world.Revision(2).Begun(absl::Minutes(20)).Failed("bad").Revision(3);
  EXPECT_EQ(Actions(world), "create 1@3");
  EXPECT_EQ(FindCondition(world.Plan().status.conditions(), "RolledBack"),
            nullptr);
}

TEST(RollbackTest, WhenFrozen_TheSameTemplateIsNot) {
  World world =
      World().Declares(2).Replicas(1).Revision(1).Good().Running(1, {0});
  world.Revision(2).Begun(absl::Minutes(90)).Failed("bad");
  EXPECT_EQ(Actions(world), "");
  // Once the failure is cleared, it is.
  world.Failed("");
  EXPECT_EQ(Actions(world), "create 1@2");
}

TEST(RollbackTest, WhenItsLimitsChange_TheFrozenOneIsTriedAgain) {
  World world = World()
                    .Declares(2)
                    .Replicas(1)
                    .Revision(1)
                    .Good()
                    .Begun(absl::Minutes(1))
                    .Running(1, {0})
                    .Revision(2)
                    .Begun(absl::Minutes(2))
                    .Failed("out of memory");
  world = ThreeCrashes(std::move(world));
  world.view.service.mutable_spec()
      ->mutable_containers(0)
      ->mutable_resources()
      ->mutable_memory()
      ->set_limit(64 << 20);
  const ServicePlan plan = world.Plan();
  EXPECT_EQ(Actions(world, plan), "create 1@2");
  EXPECT_EQ(plan.status.revision(), 2);
  ASSERT_THAT(plan.update, SizeIs(1));
  EXPECT_EQ(plan.update[0].failure(), "");
  ASSERT_THAT(plan.events, SizeIs(2));
  EXPECT_THAT(plan.events[0].message, HasSubstr("is tried again"));
  EXPECT_EQ(plan.events[1].reason, "RolloutStarted");
}

TEST(RollbackTest, WhenOnlyTheDeadlineFailsAndNothingIsGood_SaysSo) {
  World world =
      World().Declares(1).Replicas(1).Revision(1).Begun(absl::Minutes(11));
  world.Unready(1, {0});
  const ServicePlan plan = world.Plan();
  EXPECT_THAT(plan.update, IsEmpty());
  EXPECT_EQ(FindCondition(plan.status.conditions(), "Progressing")->reason(),
            "ProgressDeadlineExceeded");
}

}  // namespace
}  // namespace bulwark::scheduler
