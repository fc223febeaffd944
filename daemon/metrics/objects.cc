#include "daemon/metrics/objects.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/metrics/replica_labels.h"
#include "google/protobuf/timestamp.pb.h"

namespace bulwark::daemon {
namespace {

using Conditions = google::protobuf::RepeatedPtrField<v1::Condition>;

const v1::Condition* Find(const Conditions& conditions,
                          absl::string_view type) {
  auto it =
      std::find_if(conditions.begin(), conditions.end(),
                   [&](const v1::Condition& c) { return c.type() == type; });
  return it == conditions.end() ? nullptr : &*it;
}

double Seconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}

// Adds what the times that are set say.
template <typename... Labels>
void AddTime(metrics::Samples& samples, metrics::SeriesName series, bool is_set,
             const google::protobuf::Timestamp& time, const Labels&... labels) {
  if (is_set) samples.Add(series, {labels...}, Seconds(time));
}

void AddConditions(metrics::Samples& samples, metrics::SeriesName series,
                   const v1::Metadata& metadata, const Conditions& conditions) {
  for (const v1::Condition& c : conditions) {
    samples.Add(series, {ProjectOf(metadata), metadata.name(), c.type()},
                c.status() == v1::Condition::TRUE);
  }
}

absl::string_view RolloutState(const v1::ServiceStatus& status) {
  const v1::Condition* back = Find(status.conditions(), "RolledBack");
  if (back != nullptr && back->status() == v1::Condition::TRUE) {
    return "rolled_back";
  }
  const v1::Condition* progressing = Find(status.conditions(), "Progressing");
  if (progressing == nullptr) return "waiting";
  const std::string& reason = progressing->reason();
  if (reason == "Complete" || reason == "NoReplicas") return "complete";
  if (reason == "ProgressDeadlineExceeded") return "failed";
  if (reason == "RollingOut") return "progressing";
  return "waiting";  // for images, dependencies
}

void AddService(const v1::Service& service, metrics::Samples& samples) {
  const std::string project = ProjectOf(service.metadata());
  const std::string& name = service.metadata().name();
  const v1::ServiceStatus& status = service.status();
  samples.Add("bulwark_service_replicas_desired", {project, name},
              status.desired_replicas());
  samples.Add("bulwark_service_replicas", {project, name}, status.replicas());
  samples.Add("bulwark_service_replicas_ready", {project, name},
              status.ready_replicas());
  samples.Add("bulwark_service_replicas_available", {project, name},
              status.available_replicas());
  samples.Add("bulwark_service_replicas_updated", {project, name},
              status.updated_replicas());
  samples.Add("bulwark_service_revision", {project, name},
              static_cast<double>(status.revision()));
  samples.Add("bulwark_service_revision_last_good", {project, name},
              static_cast<double>(status.last_good_revision()));
  const absl::string_view state = RolloutState(status);
  for (const char* each :
       {"complete", "progressing", "waiting", "failed", "rolled_back"}) {
    samples.Add("bulwark_service_rollout_state", {project, name, each},
                state == each);
  }
  AddConditions(samples, "bulwark_service_condition", service.metadata(),
                status.conditions());
  // Said at once, while nothing has gone wrong: an alert sees it come.
  if (Find(status.conditions(), "CrashLoop") == nullptr) {
    samples.Add("bulwark_service_condition", {project, name, "CrashLoop"}, 0);
  }
  if (!service.spec().has_autoscale()) return;
  samples.Add("bulwark_autoscaler_replicas_min", {project, name},
              std::max(1, service.spec().autoscale().min_replicas()));
  samples.Add("bulwark_autoscaler_replicas_max", {project, name},
              service.spec().autoscale().max_replicas());
}

void AddScale(const v1::Scale& scale, metrics::Samples& samples) {
  const std::string project = ProjectOf(scale.metadata());
  const std::string& name = scale.metadata().name();
  samples.Add("bulwark_autoscaler_replicas_desired", {project, name},
              scale.replicas());
  samples.Add("bulwark_autoscaler_replicas_recommended", {project, name},
              scale.recommended());
  for (const v1::MetricSample& metric : scale.metrics()) {
    samples.Add("bulwark_autoscaler_metric_target",
                {project, name, metric.name()}, metric.target());
    if (!metric.error().empty()) continue;
    samples.Add("bulwark_autoscaler_metric_value",
                {project, name, metric.name()}, metric.value());
  }
  AddConditions(samples, "bulwark_autoscaler_condition", scale.metadata(),
                scale.conditions());
}

void AddReplica(const v1::Replica& replica, metrics::Samples& samples) {
  const ReplicaLabels of = LabelsOf(replica);
  const v1::ReplicaStatus& status = replica.status();
  samples.Add("bulwark_replica_info",
              {of.project, of.service, of.job, of.replica,
               absl::StrCat(replica.spec().slot()),
               absl::StrCat(replica.spec().revision())},
              1);
  const std::string state = absl::AsciiStrToLower(
      status.state() == v1::ReplicaStatus::STATE_UNSPECIFIED
          ? "PENDING"
          : v1::ReplicaStatus::State_Name(status.state()));
  samples.Add("bulwark_replica_state",
              {of.project, of.service, of.job, of.replica, state}, 1);
  samples.Add("bulwark_replica_ready",
              {of.project, of.service, of.job, of.replica},
              status.state() == v1::ReplicaStatus::RUNNING && status.ready());
  AddTime(samples, "bulwark_replica_start_time_seconds",
          status.has_start_time(), status.start_time(), of.project, of.service,
          of.job, of.replica);
  for (const v1::ContainerStatus& c : status.containers()) {
    AddTime(samples, "bulwark_container_start_time_seconds",
            c.running() && c.has_start_time(), c.start_time(), of.project,
            of.service, of.job, of.replica, c.name());
  }
}

void AddVolume(const v1::Volume& volume, metrics::Samples& samples) {
  const std::string project = ProjectOf(volume.metadata());
  const std::string& name = volume.metadata().name();
  const v1::VolumeStatus& status = volume.status();
  samples.Add("bulwark_volume_snapshots", {project, name},
              status.snapshots_size());
  AddConditions(samples, "bulwark_volume_condition", volume.metadata(),
                status.conditions());
  const v1::Condition* saved = Find(status.conditions(), "BackedUp");
  if (saved != nullptr && saved->status() == v1::Condition::TRUE) {
    AddTime(samples, "bulwark_volume_backup_time_seconds",
            saved->has_last_transition_time(), saved->last_transition_time(),
            project, name);
  }
  // Unset: nobody has looked yet.
  if (!status.has_usage_time()) return;
  samples.Add("bulwark_volume_used_bytes", {project, name},
              static_cast<double>(status.used_bytes()));
  samples.Add("bulwark_volume_capacity_bytes", {project, name},
              static_cast<double>(status.capacity_bytes()));
  samples.Add("bulwark_volume_used_inodes", {project, name},
              static_cast<double>(status.used_inodes()));
  samples.Add("bulwark_volume_capacity_inodes", {project, name},
              static_cast<double>(status.capacity_inodes()));
}

void AddJob(const v1::Job& job, metrics::Samples& samples) {
  const std::string project = ProjectOf(job.metadata());
  const std::string& name = job.metadata().name();
  const v1::JobStatus& status = job.status();
  samples.Add("bulwark_job_active", {project, name}, status.active());
  samples.Add("bulwark_job_succeeded", {project, name}, status.succeeded());
  samples.Add("bulwark_job_failed", {project, name}, status.failed());
  AddConditions(samples, "bulwark_job_condition", job.metadata(),
                status.conditions());
  AddTime(samples, "bulwark_job_start_time_seconds", status.has_start_time(),
          status.start_time(), project, name);
  AddTime(samples, "bulwark_job_completion_time_seconds",
          status.has_completion_time(), status.completion_time(), project,
          name);
}

void AddCronJob(const v1::CronJob& cron, metrics::Samples& samples) {
  const std::string project = ProjectOf(cron.metadata());
  const std::string& name = cron.metadata().name();
  const v1::CronJobStatus& status = cron.status();
  samples.Add("bulwark_cron_job_active", {project, name}, status.active_size());
  samples.Add("bulwark_cron_job_suspended", {project, name},
              cron.spec().suspend());
  AddTime(samples, "bulwark_cron_job_last_schedule_time_seconds",
          status.has_last_schedule_time(), status.last_schedule_time(), project,
          name);
  AddTime(samples, "bulwark_cron_job_next_schedule_time_seconds",
          status.has_next_schedule_time(), status.next_schedule_time(), project,
          name);
  AddTime(samples, "bulwark_cron_job_last_success_time_seconds",
          status.has_last_success_time(), status.last_success_time(), project,
          name);
}

}  // namespace

void AddObject(const v1::Object& object, metrics::Samples& samples) {
  switch (object.object_case()) {
    case v1::Object::kService:
      return AddService(object.service(), samples);
    case v1::Object::kScale:
      return AddScale(object.scale(), samples);
    case v1::Object::kReplica:
      return AddReplica(object.replica(), samples);
    case v1::Object::kVolume:
      return AddVolume(object.volume(), samples);
    case v1::Object::kJob:
      return AddJob(object.job(), samples);
    case v1::Object::kCronJob:
      return AddCronJob(object.cron_job(), samples);
    default:
      return;
  }
}

}  // namespace bulwark::daemon
