// The series of what is declared and what runs for it. See names.h.
#ifndef METRICS_SERIES_OBJECTS_H_
#define METRICS_SERIES_OBJECTS_H_

#include "metrics/series.h"

namespace bulwark::metrics {

inline constexpr char kOfService[] = "project,service";
inline constexpr char kOfReplica[] = "project,service,job_name,replica";
inline constexpr char kOfContainer[] =
    "project,service,job_name,replica,container";
inline constexpr char kOfVolume[] = "project,volume";
inline constexpr char kOfJob[] = "project,job_name";
inline constexpr char kOfCronJob[] = "project,cron_job";

inline constexpr Series kObjectSeries[] = {
    // Services
    {"bulwark_service_replicas_desired", Type::kGauge, kOfService,
     "Replicas that should run."},
    {"bulwark_service_replicas", Type::kGauge, kOfService,
     "Replicas that exist and have not ended."},
    {"bulwark_service_replicas_ready", Type::kGauge, kOfService,
     "Replicas that take connections."},
    {"bulwark_service_replicas_available", Type::kGauge, kOfService,
     "Replicas that have been ready for minHealthyTime."},
    {"bulwark_service_replicas_updated", Type::kGauge, kOfService,
     "Replicas of the revision that is rolled out."},
    {"bulwark_service_revision", Type::kGauge, kOfService,
     "Number of the revision that is rolled out or being rolled out."},
    {"bulwark_service_revision_last_good", Type::kGauge, kOfService,
     "Number of the last revision that became healthy; 0: none yet."},
    {"bulwark_service_rollout_state", Type::kGauge, "project,service,state",
     "1 for the state of the rollout: complete, progressing, waiting, failed, "
     "rolled_back; else 0."},
    {"bulwark_service_condition", Type::kGauge, "project,service,condition",
     "1 if the condition holds, else 0."},
    {"bulwark_service_restarts_total", Type::kCounter, kOfService,
     "Replicas that took the place of one that had failed, since the daemon's "
     "start."},
    {"bulwark_service_replica_failures_total", Type::kCounter,
     "project,service,reason",
     "Replicas that ended by themselves or could not start, since the daemon's "
     "start."},
    {"bulwark_service_oom_kills_total", Type::kCounter, kOfService,
     "Replicas that ended because they were out of memory, since the daemon's "
     "start."},
    {"bulwark_service_rollouts_total", Type::kCounter, kOfService,
     "Rollouts that were begun, since the daemon's start."},
    {"bulwark_service_rollbacks_total", Type::kCounter, kOfService,
     "Revisions that were rolled back by themselves, since the daemon's "
     "start."},
    // Autoscaler
    {"bulwark_autoscaler_replicas_min", Type::kGauge, kOfService,
     "The fewest replicas that the autoscaler may ask for."},
    {"bulwark_autoscaler_replicas_max", Type::kGauge, kOfService,
     "The most replicas that the autoscaler may ask for."},
    {"bulwark_autoscaler_replicas_desired", Type::kGauge, kOfService,
     "Replicas that the autoscaler has decided on."},
    {"bulwark_autoscaler_replicas_recommended", Type::kGauge, kOfService,
     "Replicas that the metrics alone ask for, before bounds and windows."},
    {"bulwark_autoscaler_metric_value", Type::kGauge, "project,service,metric",
     "What the metric is for the mean of the replicas: percent, or "
     "connections."},
    {"bulwark_autoscaler_metric_target", Type::kGauge, "project,service,metric",
     "What the metric should be."},
    {"bulwark_autoscaler_condition", Type::kGauge, "project,service,condition",
     "1 if the condition of the autoscaler holds, else 0."},
    // Replicas
    {"bulwark_replica_info", Type::kGauge,
     "project,service,job_name,replica,slot,revision",
     "1; which slot and revision the replica is of."},
    {"bulwark_replica_state", Type::kGauge,
     "project,service,job_name,replica,state",
     "1 for the state that the replica is in: pending, starting, running, "
     "draining, stopping, failed, stopped."},
    {"bulwark_replica_ready", Type::kGauge, kOfReplica,
     "1 if the replica takes new connections, else 0."},
    {"bulwark_replica_start_time_seconds", Type::kGauge, kOfReplica,
     "When the replica's containers were started, in seconds since 1970."},
    {"bulwark_replica_network_receive_bytes_total", Type::kCounter, kOfReplica,
     "Bytes that the replica received from its network."},
    {"bulwark_replica_network_transmit_bytes_total", Type::kCounter, kOfReplica,
     "Bytes that the replica sent to its network."},
    // Containers
    {"bulwark_container_cpu_usage_seconds_total", Type::kCounter, kOfContainer,
     "Processor time that the container has used."},
    {"bulwark_container_cpu_throttled_seconds_total", Type::kCounter,
     kOfContainer, "Time that its processor limit held the container up."},
    {"bulwark_container_cpu_limit_cores", Type::kGauge, kOfContainer,
     "Processors that the container may use; absent without a limit."},
    {"bulwark_container_memory_working_set_bytes", Type::kGauge, kOfContainer,
     "Memory that the container uses, without inactive file pages."},
    {"bulwark_container_memory_limit_bytes", Type::kGauge, kOfContainer,
     "Memory that the container may use; absent without a limit."},
    {"bulwark_container_io_read_bytes_total", Type::kCounter, kOfContainer,
     "Bytes that the container read from block devices."},
    {"bulwark_container_io_write_bytes_total", Type::kCounter, kOfContainer,
     "Bytes that the container wrote to block devices."},
    {"bulwark_container_pids", Type::kGauge, kOfContainer,
     "Processes and threads of the container."},
    {"bulwark_container_pressure_stalled_seconds_total", Type::kCounter,
     "project,service,job_name,replica,container,resource",
     "Time that some of the container's tasks waited for the resource: cpu, "
     "memory, io."},
    {"bulwark_container_oom_kills_total", Type::kCounter, kOfContainer,
     "Processes of the container that were killed for lack of memory."},
    {"bulwark_container_start_time_seconds", Type::kGauge, kOfContainer,
     "When the container was started, in seconds since 1970."},
    // Volumes
    {"bulwark_volume_used_bytes", Type::kGauge, kOfVolume,
     "Bytes that the volume holds."},
    {"bulwark_volume_capacity_bytes", Type::kGauge, kOfVolume,
     "Bytes that the file system of the volume can hold."},
    {"bulwark_volume_used_inodes", Type::kGauge, kOfVolume,
     "Files and directories of the volume."},
    {"bulwark_volume_capacity_inodes", Type::kGauge, kOfVolume,
     "Files and directories that its file system can hold."},
    {"bulwark_volume_snapshots", Type::kGauge, kOfVolume,
     "Snapshots that are kept of the volume."},
    {"bulwark_volume_condition", Type::kGauge, "project,volume,condition",
     "1 if the condition holds, else 0."},
    {"bulwark_volume_backup_time_seconds", Type::kGauge, kOfVolume,
     "When the volume was last backed up, in seconds since 1970; absent if it "
     "never was."},
    // Jobs
    {"bulwark_job_active", Type::kGauge, kOfJob,
     "Executions of the job that run."},
    {"bulwark_job_succeeded", Type::kGauge, kOfJob,
     "Executions of the job that ended well."},
    {"bulwark_job_failed", Type::kGauge, kOfJob,
     "Executions of the job that failed."},
    {"bulwark_job_condition", Type::kGauge, "project,job_name,condition",
     "1 if the condition holds, else 0."},
    {"bulwark_job_start_time_seconds", Type::kGauge, kOfJob,
     "When the job began, in seconds since 1970."},
    {"bulwark_job_completion_time_seconds", Type::kGauge, kOfJob,
     "When the job completed, in seconds since 1970."},
    {"bulwark_cron_job_active", Type::kGauge, kOfCronJob,
     "Jobs of the cron job that run."},
    {"bulwark_cron_job_suspended", Type::kGauge, kOfCronJob,
     "1 if the cron job is suspended, else 0."},
    {"bulwark_cron_job_last_schedule_time_seconds", Type::kGauge, kOfCronJob,
     "When a job was last made, in seconds since 1970."},
    {"bulwark_cron_job_next_schedule_time_seconds", Type::kGauge, kOfCronJob,
     "When the next job is due, in seconds since 1970."},
    {"bulwark_cron_job_last_success_time_seconds", Type::kGauge, kOfCronJob,
     "When a job last completed, in seconds since 1970."},
};

}  // namespace bulwark::metrics

#endif  // METRICS_SERIES_OBJECTS_H_
