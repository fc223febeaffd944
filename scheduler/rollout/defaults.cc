#include "scheduler/rollout/defaults.h"

#include <algorithm>

#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kDefaultDrainTimeout = absl::Seconds(30);
constexpr absl::Duration kDefaultStopTimeout = absl::Seconds(30);

int AutoscaledCount(const v1::Autoscale& autoscale, int count) {
  const int min = std::max(1, autoscale.min_replicas());
  return std::clamp(count, min, std::max(min, autoscale.max_replicas()));
}

// Of a ServiceSpec or a Template.
template <typename T>
bool HasSlotVolumes(const T& spec, const std::set<std::string>& single_writer) {
  auto any = [&](const auto& containers) {
    for (const v1::Container& container : containers) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (mount.per_replica() || single_writer.contains(mount.volume())) {
          return true;
        }
      }
    }
    return false;
  };
  return any(spec.containers()) || any(spec.init_containers()) ||
         any(spec.sidecars());
}

}  // namespace

RolloutSettings SettingsOf(const v1::Service& service,
                           const v1::Template* target,
                           std::optional<int> scaled,
                           const std::set<std::string>& single_writer) {
  const v1::ServiceSpec& spec = service.spec();
  const v1::Rollout& rollout = spec.rollout();
  RolloutSettings s;
  if (spec.has_replicas()) s.replicas = std::max(0, spec.replicas());
  if (spec.has_autoscale()) {
    s.replicas = AutoscaledCount(spec.autoscale(), scaled.value_or(s.replicas));
  }
  if (spec.stopped() || service.metadata().has_delete_time()) s.replicas = 0;
  s.recreate = rollout.strategy() == v1::Rollout::RECREATE;
  s.stable_slots =
      target == nullptr ? HasSlotVolumes(spec, single_writer)
                        : HasSlotVolumes(*target, single_writer);
  if (rollout.has_max_surge()) s.max_surge = std::max(0, rollout.max_surge());
  if (s.stable_slots) s.max_surge = 0;
  s.max_unavailable = std::max(0, rollout.max_unavailable());
  if (s.max_surge == 0) s.max_unavailable = std::max(1, s.max_unavailable);
  if (rollout.has_min_healthy_time()) {
    s.min_healthy_time = ToDuration(rollout.min_healthy_time());
  }
  if (rollout.has_progress_deadline()) {
    s.progress_deadline = ToDuration(rollout.progress_deadline());
  }
  if (rollout.has_auto_rollback()) s.auto_rollback = rollout.auto_rollback();
  if (rollout.history() > 0) s.history = rollout.history();
  if (spec.restart().policy() != v1::Restart::POLICY_UNSPECIFIED) {
    s.restart = spec.restart().policy();
  }
  return s;
}

absl::Duration DrainTimeout(const v1::ServiceSpec& spec) {
  return spec.load_balancer().has_drain_timeout()
             ? ToDuration(spec.load_balancer().drain_timeout())
             : kDefaultDrainTimeout;
}

absl::Duration StopTimeout(const v1::Stop& stop) {
  return stop.has_timeout() ? ToDuration(stop.timeout()) : kDefaultStopTimeout;
}

}  // namespace bulwark::scheduler
