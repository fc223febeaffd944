// What an autoscaler asks for, with the documented defaults filled in. Pure.
#ifndef SCHEDULER_AUTOSCALE_SETTINGS_H_
#define SCHEDULER_AUTOSCALE_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

struct ScalePolicy {
  bool percent = false;  // else a number of replicas
  int value = 0;
  absl::Duration period;
};

// One direction.
struct ScaleRules {
  absl::Duration window;
  std::vector<ScalePolicy> policies;
  v1::ScalingRules::Select select = v1::ScalingRules::MAX;
};

struct AutoscaleSettings {
  int min = 1;
  int max = 1;
  double tolerance = 0.1;
  ScaleRules up;
  ScaleRules down;
};

AutoscaleSettings AutoscaleSettingsOf(const v1::Autoscale& autoscale);

// "at most 100% or 4 replicas in 15s"; "never in this direction".
std::string Describe(const ScaleRules& rules);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_SETTINGS_H_
