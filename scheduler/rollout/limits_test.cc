// What a service's status says of limits that change in place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "scheduler/conditions.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/rollout/world.h"

namespace bulwark::scheduler {
namespace {

TEST(PlanServiceTest, UntilAReplicaHasTriedItsNewLimits_TheyAreUnknown) {
  World world =
      World().Declares(1).Replicas(3).Revision(1).Good().Running(1, {0, 1, 2});
  world.view.service.mutable_metadata()->set_generation(7);
  world.view.service.mutable_spec()
      ->mutable_containers(0)
      ->mutable_resources()
      ->set_pids(9);
  const auto said = [&](const ServicePlan& plan) {
    const v1::Condition* c =
        FindCondition(plan.status.conditions(), "LimitsApplied");
    return c == nullptr ? "" : c->reason();
  };
  // In the very status that is the first about the declaration.
  ServicePlan plan = PlanService(world.view);
  EXPECT_EQ(plan.status.observed_generation(), 7);
  EXPECT_EQ(said(plan), "Applying");
  world.view.revisions[0] = plan.update.at(0);
  for (v1::Replica& r : world.view.replicas) {
    EXPECT_EQ(said(PlanService(world.view)), "Applying");
    r.mutable_status()->set_limits_generation(7);
  }
  *world.view.service.mutable_status() = plan.status;
  EXPECT_EQ(said(PlanService(world.view)), "Applied");
}

}  // namespace
}  // namespace bulwark::scheduler
