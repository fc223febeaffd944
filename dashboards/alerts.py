"""The alert rules; see panels.py. `fault` moves the expression from no answer
to one. Without one no test can make the fault without harm to its host: then
the expression is `data`, which has an answer at any time, below a threshold."""

from panels import Alert

_OF = "{{ $labels.project }}/{{ $labels.service }}"

ALERTS = [
    Alert("BulwarkDown", 'up{job="bulwark"} == 0', "1m", "critical",
          "bulwarkd does not answer",
          "Containers and connections go on, but nothing is healed or rolled "
          "out. `systemctl status bulwarkd`, or its log, says why.",
          "daemon_down"),
    Alert("BulwarkDegraded", "bulwark_daemon_degraded == 1", "5m", "warning",
          "bulwarkd works with its hands tied",
          "It found containers that its store does not know and touches none "
          "of them. Its log names the cause and the way out.", "bad_record"),
    Alert("BulwarkSecretsSealed", "bulwark_secrets_sealed == 1", "1m",
          "critical", "The secrets are sealed",
          "The key file is missing, wrong or open to others: nothing that needs "
          "a secret starts. `ctl secret status` says what to do.", "sealed"),
    Alert("BulwarkServiceUnavailable",
          'bulwark_service_condition{condition="Available"} == 0 and '
          "on (project, service) bulwark_service_replicas_desired > 0", "2m",
          "critical", _OF + " has too few available replicas",
          "`ctl describe service {{ $labels.service }} --project "
          "{{ $labels.project }}` names the culprit.", "crash"),
    Alert("BulwarkCrashLoop",
          'bulwark_service_condition{condition="CrashLoop"} == 1', "1m",
          "warning", _OF + " is in a crash loop",
          "`ctl logs {{ $labels.service }} --project {{ $labels.project }}` "
          "has its last words.", "crash"),
    Alert("BulwarkRolledBack",
          'bulwark_service_rollout_state{state="rolled_back"} == 1', "0s",
          "warning", _OF + " was rolled back",
          "Its declared revision failed and is not tried again; the last good "
          "one runs. `ctl rollout history` has the reason.", "rollback"),
    Alert("BulwarkRolloutFailed",
          'bulwark_service_rollout_state{state="failed"} == 1', "0s",
          "critical", "The rollout of " + _OF + " has failed",
          "There is no good revision to go back to, or autoRollback is off.",
          "stuck"),
    Alert("BulwarkRolloutSlow",
          'bulwark_service_rollout_state{state=~"progressing|waiting"} == 1',
          "15m", "warning", "The rollout of " + _OF + " does not end",
          "It waits for images, dependencies or healthy replicas: "
          "`ctl describe service` says which.", "no_image"),
    Alert("BulwarkOutOfMemory",
          "increase(bulwark_service_oom_kills_total[10m]) > 0", "0s",
          "warning", _OF + " ran out of memory",
          "Replicas were killed at their memory limit: raise it, or mend the "
          "leak.", "oom"),
    Alert("BulwarkMemoryNearLimit",
          "bulwark_container_memory_working_set_bytes / "
          "bulwark_container_memory_limit_bytes > 0.9", "10m", "warning",
          "{{ $labels.replica }} uses more than 90 % of its memory limit",
          "At 100 % the kernel kills it.", "burn"),
    Alert("BulwarkThrottled",
          "rate(bulwark_container_cpu_throttled_seconds_total[5m]) > 0.25",
          "15m", "info", "{{ $labels.replica }} is held up by its processor "
          "limit", "More than a quarter of the time: raise the limit, or "
          "scale out.", "burn"),
    Alert("BulwarkNodeDiskFull",
          "bulwark_node_disk_available_bytes / bulwark_node_disk_size_bytes "
          "< 0.1", "5m", "critical",
          "Less than 10 % of the state directory's disk are left",
          "`ctl system df` says what takes the space, `ctl system prune` "
          "frees what nothing needs.", "full_disk"),
    Alert("BulwarkNodeMemoryLow",
          "bulwark_node_memory_available_bytes / "
          "bulwark_node_memory_size_bytes < 0.05", "5m", "critical",
          "Less than 5 % of the host's memory are left",
          "`ctl top` says who has it.", "",
          "bulwark_node_memory_available_bytes / "
          "bulwark_node_memory_size_bytes"),
    Alert("BulwarkNodePressure",
          'rate(bulwark_node_pressure_stalled_seconds_total{resource=~'
          '"memory|io"}[5m]) > 0.2', "10m", "warning",
          "Work waits for the host's {{ $labels.resource }}",
          "More than a fifth of the time: the host is too small for what "
          "runs.", "disk"),
    Alert("BulwarkVolumeNearlyFull",
          "bulwark_volume_used_bytes / (bulwark_volume_capacity_bytes > 0) "
          "> 0.9", "5m", "warning",
          "Volume {{ $labels.project }}/{{ $labels.volume }} is nearly full",
          "Raise its size, or remove data.", "volume"),
    Alert("BulwarkBackupOld",
          "time() - bulwark_volume_backup_time_seconds > 2 * 86400", "1h",
          "warning",
          "The last backup of volume {{ $labels.project }}/"
          "{{ $labels.volume }} is old",
          "It is older than two days: look after what makes it.",
          "old_backup"),
    Alert("BulwarkBackupFailed",
          'bulwark_volume_condition{condition="BackupFailed"} == 1', "0s",
          "warning",
          "The last attempt to back up volume {{ $labels.project }}/"
          "{{ $labels.volume }} failed",
          "`ctl describe volume {{ $labels.volume }}` says why. Backups that "
          "were made before are still there.", "backup"),
    Alert("BulwarkProxyDown", "bulwark_proxy_up == 0", "1m", "critical",
          "The proxy does not answer the daemon",
          "dataplane.log in the state directory says more. Published ports "
          "may not work.", "proxy_stopped"),
    Alert("BulwarkConnectionsFailed",
          "rate(bulwark_proxy_connections_failed_total[1m]) > 0", "1m",
          "critical", "Connections to " + _OF + " fail",
          "No replica was ready within the hold time, or every one refused.",
          "no_backend"),
    Alert("BulwarkConnectionsHeld", "bulwark_proxy_connections_held > 0",
          "1m", "warning", "Connections to " + _OF + " wait for a replica",
          "None is ready.", "no_backend"),
    Alert("BulwarkEndpointEjected", "bulwark_proxy_endpoint_ejected == 1",
          "1m", "warning", "{{ $labels.replica }} refuses connections",
          "The proxy sends it none for a while, though its probe says it is "
          "ready.", "refuse"),
    Alert("BulwarkStoreSlow",
          "histogram_quantile(0.99, sum by (le) (rate("
          "bulwark_store_write_duration_seconds_bucket[5m]))) > 0.5", "10m",
          "warning", "The store's disk is slow",
          "A write of the store takes more than half a second: every change "
          "of state waits for it.", "slow_disk"),
    Alert("BulwarkStoreFailing",
          "increase(bulwark_store_write_failures_total[10m]) > 0", "0s",
          "critical", "The store cannot write",
          "The disk is full or failing: changes are refused. Its log names "
          "the error.", "no_space"),
    Alert("BulwarkControllerErrors",
          "rate(bulwark_controller_reconcile_errors_total[5m]) > 0", "15m",
          "warning", "Controller {{ $labels.controller }} fails again and "
          "again", "`ctl events` and the daemon's log name the objects.",
          "no_image"),
    Alert("BulwarkApiErrors",
          'sum by (method) (rate(bulwark_api_calls_total{code=~"INTERNAL|'
          'UNKNOWN|DATA_LOSS"}[5m])) > 0', "5m", "warning",
          "Calls of {{ $labels.method }} fail through no fault of the caller's",
          "The daemon's log has the errors.", "bad_record"),
    Alert("BulwarkDescriptorsLow",
          'process_open_fds{job="bulwark"} / process_max_fds{job="bulwark"} '
          "> 0.8", "5m", "warning",
          "bulwarkd has used 80 % of its file descriptors",
          "Raise LimitNOFILE of its unit.", "descriptors"),
    Alert("BulwarkJobFailed",
          'bulwark_job_condition{condition="Failed"} == 1', "0s", "warning",
          "Job {{ $labels.project }}/{{ $labels.job_name }} has failed",
          "`ctl logs job/{{ $labels.job_name }}` has its last words.", "job"),
    Alert("BulwarkCronJobLate",
          "time() - bulwark_cron_job_next_schedule_time_seconds > 600 and "
          "bulwark_cron_job_suspended == 0", "0s", "warning",
          "Cron job {{ $labels.project }}/{{ $labels.cron_job }} is late",
          "It was due ten minutes ago.", "lost_zone"),
    Alert("BulwarkAutoscalerAtLimit",
          "bulwark_autoscaler_replicas_recommended > "
          "bulwark_autoscaler_replicas_max", "15m", "warning",
          _OF + " needs more replicas than it may have",
          "Its metrics ask for more than maxReplicas.", "autoscale"),
]
