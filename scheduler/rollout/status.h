// What a service's status says. Internal to the planner. Pure.
#ifndef SCHEDULER_ROLLOUT_STATUS_H_
#define SCHEDULER_ROLLOUT_STATUS_H_

#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/rollout/census.h"
#include "scheduler/rollout/plan.h"

namespace bulwark::scheduler {

// The counts, and the conditions Available, Progressing, CrashLoop, RolledBack
// and DependenciesReady. ImageResolved is only ever set to TRUE: what is wrong
// with an image, its resolver says. All else stays as it is in the view.
v1::ServiceStatus StatusOf(const ServiceView& view, const Census& census);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_STATUS_H_
