// What a service asks for, with the documented defaults filled in. Pure.
#ifndef SCHEDULER_ROLLOUT_DEFAULTS_H_
#define SCHEDULER_ROLLOUT_DEFAULTS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// The numbers behind a service's rollout, scale and restarts.
struct RolloutSettings {
  // Declared, or the autoscaler's; 0 if stopped, or while the service is being
  // deleted.
  int replicas = 1;
  bool recreate = false;
  // Each slot has volumes of its own, or one is for a single writer: slots are
  // 0 to replicas - 1, a slot's old replica ends before its new one starts, and
  // the drain is skipped.
  bool stable_slots = false;
  // Never both 0: such a rollout could not begin.
  int max_surge = 1;
  int max_unavailable = 0;
  absl::Duration min_healthy_time = absl::Seconds(10);
  absl::Duration progress_deadline = absl::Minutes(10);
  bool auto_rollback = true;
  int history = 10;
  v1::Restart::Policy restart = v1::Restart::ALWAYS;
};

// `target` is the template that is run, if it is another than the declared
// one: whether slots are stable is its property, so that a declaration whose
// images are not resolved yet disturbs nothing. `scaled` is what the autoscaler
// has decided, if it has: bounds that have changed since count at once.
// `single_writer`: the names of volumes that are for one writer.
RolloutSettings SettingsOf(const v1::Service& service,
                           const v1::Template* target = nullptr,
                           std::optional<int> scaled = std::nullopt,
                           const std::set<std::string>& single_writer = {});

// How long established connections may go on, and how long a process has
// between its stop signal and the kill. Both 30 s by default.
absl::Duration DrainTimeout(const v1::ServiceSpec& spec);
absl::Duration StopTimeout(const v1::Stop& stop);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_DEFAULTS_H_
