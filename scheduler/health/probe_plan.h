// Which probes a container has. Pure.
#ifndef SCHEDULER_HEALTH_PROBE_PLAN_H_
#define SCHEDULER_HEALTH_PROBE_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "engine/images.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/health/probe_state.h"
#include "scheduler/health/prober.h"

namespace bulwark::scheduler {

struct PlannedProbe {
  enum class Role { kStartup, kReadiness, kLiveness };
  Role role = Role::kReadiness;
  ProbePolicy policy;
  ProbeTarget target;
};

// The probes of one main container of `replica`. Without a readiness probe:
// the image's HEALTHCHECK (also its liveness), else a TCP connect to the
// service's first port, else none (ready as soon as it runs). `ports` are the
// service's; `healthcheck` the image's, if any.
std::vector<PlannedProbe> PlanProbes(
    const v1::Container& container, const v1::Replica& replica,
    const std::string& container_id, const std::vector<v1::Port>& ports,
    const std::optional<engine::ImageHealthcheck>& healthcheck);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_HEALTH_PROBE_PLAN_H_
