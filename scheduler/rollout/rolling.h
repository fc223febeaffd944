// Which replicas to make and to stop. Internal to the planner. Pure.
#ifndef SCHEDULER_ROLLOUT_ROLLING_H_
#define SCHEDULER_ROLLOUT_ROLLING_H_

#include "scheduler/rollout/census.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

// Nothing of the target has been started and a dependency is missing.
bool IsBlocked(const ServiceView& view, const Census& census);

// Fills plan.create, plan.stop and plan.wake_at.
void PlanReplicas(const ServiceView& view, const Census& census, PlannerBug bug,
                  ServicePlan& plan);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_ROLLING_H_
