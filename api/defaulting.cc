#include "api/defaulting.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/repeated_field.h"

namespace bulwark::api {
namespace {

constexpr int64_t kTmpfsSize = int64_t{64} << 20;
constexpr int64_t kLogSize = int64_t{20} << 20;

using Containers = google::protobuf::RepeatedPtrField<v1::Container>;
using Dependencies = google::protobuf::RepeatedPtrField<v1::Dependency>;

constexpr char kDefault[] = "default";

#define DEFAULT_STRING(message, field, value)                    \
  do {                                                           \
    if ((message).field().empty()) (message).set_##field(value); \
  } while (false)

#define DEFAULT_OPTIONAL(message, field, value)                 \
  do {                                                          \
    if (!(message).has_##field()) (message).set_##field(value); \
  } while (false)

#define DEFAULT_SECONDS(message, field, value)         \
  do {                                                 \
    if (!(message).has_##field()) {                    \
      (message).mutable_##field()->set_seconds(value); \
    }                                                  \
  } while (false)

void DefaultProbe(v1::Probe& probe, int first_port) {
  if (probe.has_http()) {
    if (probe.http().port() == 0) probe.mutable_http()->set_port(first_port);
    DEFAULT_STRING(*probe.mutable_http(), path, "/");
  }
  if (probe.has_tcp() && probe.tcp().port() == 0) {
    probe.mutable_tcp()->set_port(first_port);
  }
  DEFAULT_SECONDS(probe, period, 10);
  DEFAULT_SECONDS(probe, timeout, 1);
  if (probe.success() == 0) probe.set_success(1);
  if (probe.failure() == 0) probe.set_failure(3);
}

void DefaultMounts(v1::Container& container) {
  for (v1::SecretMount& mount : *container.mutable_secrets()) {
    if (mount.path().empty()) {
      mount.set_path(absl::StrCat("/run/secrets/", mount.name()));
    }
    if (mount.mode() == 0) mount.set_mode(0400);
  }
  for (v1::ConfigMount& mount : *container.mutable_configs()) {
    if (mount.mode() == 0) mount.set_mode(0444);
  }
}

void DefaultGiven(v1::Container& container) {
  for (v1::DeviceMount& device : *container.mutable_devices()) {
    DEFAULT_STRING(device, path, device.host_path());
    DEFAULT_STRING(device, access, "rw");
  }
  for (v1::Ulimit& ulimit : *container.mutable_ulimits()) {
    DEFAULT_OPTIONAL(ulimit, hard, ulimit.soft());
  }
  for (v1::TmpfsMount& tmpfs : *container.mutable_tmpfs()) {
    DEFAULT_OPTIONAL(tmpfs, mode, 01777);
  }
  if (!container.has_log()) return;
  v1::Logging& log = *container.mutable_log();
  if (log.driver() == v1::Logging::DRIVER_UNSPECIFIED) {
    log.set_driver(v1::Logging::LOCAL);
  }
  if (!HasLogFiles(log)) return;
  if (log.max_size() == 0) log.set_max_size(kLogSize);
  if (log.max_files() == 0) log.set_max_files(5);
}

void DefaultContainer(v1::Container& container, const std::string& owner,
                      int first_port) {
  DEFAULT_STRING(container, name, owner);
  if (container.has_health() && !container.has_readiness()) {
    container.mutable_readiness()->Swap(container.mutable_health());
    container.clear_health();
  }
  if (container.has_readiness()) {
    DefaultProbe(*container.mutable_readiness(), first_port);
  }
  if (container.has_liveness()) {
    DefaultProbe(*container.mutable_liveness(), first_port);
  }
  if (container.has_startup()) {
    DefaultProbe(*container.mutable_startup(), first_port);
  }
  if (container.resources().pids() == 0) {
    container.mutable_resources()->set_pids(512);
  }
  if (container.pull() == v1::Container::PULL_POLICY_UNSPECIFIED) {
    container.set_pull(v1::Container::MISSING);
  }
  if (container.profile() == v1::Container::PROFILE_UNSPECIFIED) {
    container.set_profile(v1::Container::BASELINE);
  }
  DefaultMounts(container);
  DefaultGiven(container);
}

void DefaultContainers(Containers& containers, const std::string& owner,
                       int first_port) {
  for (v1::Container& container : containers) {
    DefaultContainer(container, owner, first_port);
  }
}

void DefaultPort(v1::Port& port) {
  if (port.name().empty() && port.container_port() != 0) {
    port.set_name(port.container_port() == 80
                      ? "http"
                      : absl::StrCat("port-", port.container_port()));
  }
  if (port.port() == 0) port.set_port(port.container_port());
  if (port.listen() == v1::Port::LISTEN_UNSPECIFIED) {
    port.set_listen(port.host_port() != 0 ? v1::Port::LOCALHOST
                                          : v1::Port::INTERNAL);
  }
  if (port.protocol() == v1::Port::PROTOCOL_UNSPECIFIED) {
    port.set_protocol(v1::Port::TCP);
  }
}

// Slots that own volumes are never doubled: the old replica of a slot goes
// before the new one comes.
void DefaultRollout(v1::Rollout& rollout, bool volume_per_replica) {
  if (rollout.strategy() == v1::Rollout::STRATEGY_UNSPECIFIED) {
    rollout.set_strategy(v1::Rollout::ROLLING);
  }
  DEFAULT_OPTIONAL(rollout, max_surge, volume_per_replica ? 0 : 1);
  DEFAULT_OPTIONAL(rollout, max_unavailable, volume_per_replica ? 1 : 0);
  DEFAULT_SECONDS(rollout, min_healthy_time, 10);
  DEFAULT_SECONDS(rollout, progress_deadline, 600);
  DEFAULT_OPTIONAL(rollout, auto_rollback, true);
  if (rollout.history() == 0) rollout.set_history(10);
}

void DefaultLoadBalancer(v1::LoadBalancer& balancer) {
  if (balancer.algorithm() == v1::LoadBalancer::ALGORITHM_UNSPECIFIED) {
    balancer.set_algorithm(v1::LoadBalancer::LEAST_CONNECTIONS);
  }
  DEFAULT_SECONDS(balancer, drain_timeout, 30);
  DEFAULT_SECONDS(balancer, hold_timeout, 30);
}

void DefaultDependencies(Dependencies& dependencies) {
  for (v1::Dependency& dependency : dependencies) {
    if (dependency.condition() == v1::Dependency::CONDITION_UNSPECIFIED) {
      dependency.set_condition(v1::Dependency::HEALTHY);
    }
  }
}

void DefaultScaling(v1::ScalingRules& rules) {
  if (rules.select() == v1::ScalingRules::SELECT_UNSPECIFIED) {
    rules.set_select(v1::ScalingRules::MAX);
  }
}

// Windows, policies and tolerance that are not given stay so: the autoscaler
// knows what they then are.
void DefaultAutoscale(v1::Autoscale& autoscale) {
  if (autoscale.min_replicas() == 0) autoscale.set_min_replicas(1);
  if (autoscale.has_scale_up()) DefaultScaling(*autoscale.mutable_scale_up());
  if (autoscale.has_scale_down()) {
    DefaultScaling(*autoscale.mutable_scale_down());
  }
}

void DefaultService(const std::string& name, v1::ServiceSpec& spec) {
  const int first_port =
      spec.ports().empty() ? 0 : spec.ports(0).container_port();
  DEFAULT_OPTIONAL(spec, replicas, 1);
  DefaultContainers(*spec.mutable_containers(), name, first_port);
  DefaultContainers(*spec.mutable_init_containers(), name, first_port);
  DefaultContainers(*spec.mutable_sidecars(), name, first_port);
  DEFAULT_SECONDS(*spec.mutable_stop(), timeout, 30);
  for (v1::Port& port : *spec.mutable_ports()) DefaultPort(port);
  DefaultLoadBalancer(*spec.mutable_load_balancer());
  DefaultRollout(*spec.mutable_rollout(), HasVolumePerReplica(spec));
  if (spec.restart().policy() == v1::Restart::POLICY_UNSPECIFIED) {
    spec.mutable_restart()->set_policy(v1::Restart::ALWAYS);
  }
  if (spec.has_autoscale()) DefaultAutoscale(*spec.mutable_autoscale());
  if (spec.has_image_update()) {
    DEFAULT_SECONDS(*spec.mutable_image_update(), interval, 3600);
  }
  DefaultDependencies(*spec.mutable_depends_on());
  if (spec.has_on_change() &&
      spec.on_change().action() == v1::ChangePolicy::ACTION_UNSPECIFIED) {
    spec.mutable_on_change()->set_action(v1::ChangePolicy::ROLL);
  }
  DEFAULT_STRING(spec, network, kDefault);
}

void DefaultJob(const std::string& name, v1::JobSpec& spec) {
  DefaultContainers(*spec.mutable_containers(), name, 0);
  DefaultContainers(*spec.mutable_init_containers(), name, 0);
  DEFAULT_SECONDS(*spec.mutable_stop(), timeout, 30);
  if (spec.completions() == 0) spec.set_completions(1);
  if (spec.parallelism() == 0) spec.set_parallelism(1);
  DEFAULT_OPTIONAL(spec, backoff_limit, 6);
  DEFAULT_STRING(spec, network, kDefault);
  DefaultDependencies(*spec.mutable_depends_on());
}

void DefaultCronJob(const std::string& name, v1::CronJobSpec& spec) {
  DEFAULT_STRING(spec, time_zone, "UTC");
  if (spec.concurrency() == v1::CronJobSpec::CONCURRENCY_UNSPECIFIED) {
    spec.set_concurrency(v1::CronJobSpec::ALLOW);
  }
  DEFAULT_OPTIONAL(spec, successful_history, 3);
  DEFAULT_OPTIONAL(spec, failed_history, 1);
  DefaultJob(name, *spec.mutable_job());
}

void DefaultMetadata(v1::Metadata& metadata) {
  DEFAULT_STRING(metadata, project, kDefault);
}

}  // namespace

void SetDefaults(v1::Object& object) {
  switch (object.object_case()) {
    case v1::Object::kService: {
      v1::Service& service = *object.mutable_service();
      DefaultMetadata(*service.mutable_metadata());
      DefaultService(service.metadata().name(), *service.mutable_spec());
      break;
    }
    case v1::Object::kJob: {
      v1::Job& job = *object.mutable_job();
      DefaultMetadata(*job.mutable_metadata());
      DefaultJob(job.metadata().name(), *job.mutable_spec());
      break;
    }
    case v1::Object::kCronJob: {
      v1::CronJob& job = *object.mutable_cron_job();
      DefaultMetadata(*job.mutable_metadata());
      DefaultCronJob(job.metadata().name(), *job.mutable_spec());
      break;
    }
    case v1::Object::kVolume: {
      v1::Volume& volume = *object.mutable_volume();
      DefaultMetadata(*volume.mutable_metadata());
      v1::VolumeSpec& spec = *volume.mutable_spec();
      if (spec.driver() == v1::VolumeSpec::DRIVER_UNSPECIFIED) {
        spec.set_driver(v1::VolumeSpec::LOCAL);
      }
      if (spec.driver() == v1::VolumeSpec::TMPFS && spec.size() == 0) {
        spec.set_size(kTmpfsSize);
      }
      if (spec.access() == v1::VolumeSpec::ACCESS_UNSPECIFIED) {
        spec.set_access(v1::VolumeSpec::SHARED);
      }
      break;
    }
    case v1::Object::kNetwork:
      DefaultMetadata(*object.mutable_network()->mutable_metadata());
      object.mutable_network()->mutable_spec();
      break;
    case v1::Object::kSecret:
      DefaultMetadata(*object.mutable_secret()->mutable_metadata());
      object.mutable_secret()->mutable_spec();
      break;
    case v1::Object::kConfig:
      DefaultMetadata(*object.mutable_config()->mutable_metadata());
      object.mutable_config()->mutable_spec();
      break;
    case v1::Object::kNetworkPolicy:
      DefaultMetadata(*object.mutable_network_policy()->mutable_metadata());
      break;
    case v1::Object::kProject:
      DefaultMetadata(*object.mutable_project()->mutable_metadata());
      object.mutable_project()->mutable_spec();
      break;
    // Read-only kinds have nothing to default.
    case v1::Object::kRevision:
    case v1::Object::kReplica:
    case v1::Object::kEvent:
    case v1::Object::kNode:
    case v1::Object::kScale:
    case v1::Object::OBJECT_NOT_SET:
      break;
  }
}

}  // namespace bulwark::api
