"""The one source of dashboards, consoles and alerts: what is asked, and how the
answer is shown. `dashboards/generate` writes the rest.

In an expression, SELECT stands for the labels that the reader has chosen
(project and service), WINDOW for the time that rates look back.

Each panel and alert names the fault that must move it, and which way ("up",
"down" or "change"); tests/e2e/prometheus_test.cc makes the faults and looks. A
query may name another fault; "" for what no test can move without harm to its
host, of which it then wants data and the right value.
"""

import collections

Query = collections.namedtuple("Query", "expr legend fault", defaults=[None])
# kind: "graph" or "stat". unit: one of Grafana's.
Panel = collections.namedtuple("Panel", "title unit kind queries fault way help")
Row = collections.namedtuple("Row", "title panels")
Dashboard = collections.namedtuple("Dashboard", "name title rows")
Alert = collections.namedtuple(
    "Alert", "name expr hold severity summary description fault data",
    defaults=[""])


def graph(title, unit, queries, fault, way="up", help=""):
    return Panel(title, unit, "graph", [Query(*q) for q in queries], fault, way,
                 help)


def stat(title, unit, expr, fault, way="up", help=""):
    return Panel(title, unit, "stat", [Query(expr, "")], fault, way, help)


def quantile(q, series, by):
    """The q-quantile of a histogram, by these labels."""
    return ("histogram_quantile(%s, sum by (le, %s) (rate(%s_bucket[WINDOW])))"
            % (q, by, series))


_STATE = [
    stat("Daemon", "short", "max(up{job=\"bulwark\"})", "daemon_down", "down",
         "1 while the daemon answers."),
    stat("Services", "short",
         "count(bulwark_service_replicas_desired{SELECT})", "apply"),
    stat("Not available", "short",
         "count(bulwark_service_replicas_desired{SELECT} > 0 unless "
         "on (project, service) "
         "(bulwark_service_condition{SELECT,condition=\"Available\"} == 1)) "
         "or vector(0)", "crash",
         help="Services that want replicas and have too few available ones."),
    stat("Crash loops", "short",
         "sum(bulwark_service_condition{SELECT,condition=\"CrashLoop\"})",
         "crash"),
    stat("Rolled back", "short",
         "sum(bulwark_service_rollout_state{SELECT,state=\"rolled_back\"})",
         "rollback",
         help="Services whose declared revision failed; an older one runs."),
    stat("Replicas ready", "short",
         "sum(bulwark_service_replicas_ready{SELECT})", "apply"),
]

_SERVICES = [
    graph("Replicas ready", "short",
          [("sum by (project, service) "
            "(bulwark_service_replicas_ready{SELECT})",
            "{{project}}/{{service}}")], "apply"),
    graph("Replicas missing", "short",
          [("sum by (project, service) "
            "(bulwark_service_replicas_desired{SELECT} - "
            "bulwark_service_replicas_available{SELECT})",
            "{{project}}/{{service}}")], "crash",
          help="Wanted, but not available."),
    graph("Failed replicas", "short",
          [("sum by (project, service, reason) (increase("
            "bulwark_service_replica_failures_total{SELECT}[WINDOW]))",
            "{{project}}/{{service}} {{reason}}")], "crash"),
    graph("Connections", "cps",
          [("sum by (project, service) (rate("
            "bulwark_proxy_connections_accepted_total{SELECT}[WINDOW]))",
            "{{project}}/{{service}}")], "load"),
    graph("Failed connections", "cps",
          [("sum by (project, service) (rate("
            "bulwark_proxy_connections_failed_total{SELECT}[WINDOW]))",
            "{{project}}/{{service}}")], "no_backend"),
    graph("Processor", "short",
          [("sum by (project, service) (rate("
            "bulwark_container_cpu_usage_seconds_total{SELECT}[WINDOW]))",
            "{{project}}/{{service}}")], "burn", help="In processors."),
    graph("Memory", "bytes",
          [("sum by (project, service) "
            "(bulwark_container_memory_working_set_bytes{SELECT})",
            "{{project}}/{{service}}")], "apply"),
]

_DAEMON = [
    graph("API calls", "ops",
          [("sum by (method, code) (rate(bulwark_api_calls_total[WINDOW]))",
            "{{method}} {{code}}")], "calls"),
    graph("API time, 99 %", "s",
          [(quantile("0.99", "bulwark_api_call_duration_seconds", "method"),
            "{{method}}")], "calls", "change"),
    graph("Controllers: time, 99 %", "s",
          [(quantile("0.99", "bulwark_controller_reconcile_duration_seconds",
                     "controller"), "{{controller}}")], "crash", "change"),
    graph("Controllers: waiting", "short",
          [("bulwark_controller_queue_ready", "{{controller}} ready"),
           ("bulwark_controller_queue_delayed", "{{controller}} delayed",
            "no_image")], "busy_pulls"),
    graph("Controllers: errors", "ops",
          [("sum by (controller) (rate("
            "bulwark_controller_reconcile_errors_total[WINDOW]))",
            "{{controller}}")], "no_image"),
    graph("Store: time of a write", "s",
          [("histogram_quantile(0.5, sum by (le) (rate("
            "bulwark_store_write_duration_seconds_bucket[WINDOW])))", "50 %"),
           ("histogram_quantile(0.99, sum by (le) (rate("
            "bulwark_store_write_duration_seconds_bucket[WINDOW])))", "99 %")],
          "crash", "change"),
    graph("Store: commits", "ops",
          [("rate(bulwark_store_commits_total[WINDOW])", "commits")], "crash"),
    graph("Store: size", "bytes", [("bulwark_store_size_bytes", "on disk")],
          "store"),
    graph("Image pulls and pushes", "Bps",
          [("rate(bulwark_image_pull_bytes_total[WINDOW])", "downloaded"),
           ("rate(bulwark_image_push_bytes_total[WINDOW])", "uploaded",
            "push")], "pull"),
    graph("Daemon's processor", "short",
          [("rate(process_cpu_seconds_total{job=\"bulwark\"}[WINDOW])",
            "processors")], "crash", "change"),
    graph("Daemon's memory", "bytes",
          [("process_resident_memory_bytes{job=\"bulwark\"}", "resident")],
          "apply", "change"),
    graph("Daemon's descriptors", "short",
          [("process_open_fds{job=\"bulwark\"}", "open")], "apply", "change"),
]

_JOBS = [
    graph("Jobs at work", "short",
          [("sum by (project, job_name) (bulwark_job_active)",
            "{{project}}/{{job_name}}")], "job", "change"),
    graph("Failed executions", "short",
          [("sum by (project, job_name) (bulwark_job_failed)",
            "{{project}}/{{job_name}}")], "job"),
    graph("Cron jobs: until the next", "s",
          [("min by (project, cron_job) "
            "(bulwark_cron_job_next_schedule_time_seconds - time())",
            "{{project}}/{{cron_job}}")], "cron", "down"),
]

OVERVIEW = Dashboard("overview", "Bulwark: overview", [
    Row("State", _STATE), Row("Services", _SERVICES), Row("Jobs", _JOBS),
    Row("Daemon", _DAEMON)])

_BY_REPLICA = "sum by (replica) "

SERVICE = Dashboard("service", "Bulwark: a service", [
    Row("Load and replicas", [
        graph("Connections", "cps",
              [("sum(rate("
                "bulwark_proxy_connections_accepted_total{SELECT}[WINDOW]))",
                "accepted"),
               ("sum(rate("
                "bulwark_proxy_connections_failed_total{SELECT}[WINDOW]))",
                "failed", "no_backend")], "load"),
        graph("Replicas", "short",
              [("sum(bulwark_service_replicas_desired{SELECT})", "desired"),
               ("sum(bulwark_service_replicas_ready{SELECT})", "ready"),
               ("sum(bulwark_service_replicas_available{SELECT})",
                "available"),
               ("sum(bulwark_service_replicas_updated{SELECT})", "updated")],
              "scale"),
        graph("States", "short",
              [("sum by (state) (bulwark_replica_state{SELECT})",
                "{{state}}")], "crash", "change"),
        graph("Revision", "short",
              [("max(bulwark_service_revision{SELECT})", "current"),
               ("max(bulwark_service_revision_last_good{SELECT})",
                "last good")], "rollout"),
        graph("Rollout", "short",
              [("max by (state) (bulwark_service_rollout_state{SELECT})",
                "{{state}}")], "rollback", "change"),
        graph("Restarts", "short",
              [("sum(increase(bulwark_service_restarts_total{SELECT}[WINDOW]))",
                "restarts")], "kill"),
        graph("Failed replicas", "short",
              [("sum by (reason) (increase("
                "bulwark_service_replica_failures_total{SELECT}[WINDOW]))",
                "{{reason}}")], "kill"),
        graph("Out of memory", "short",
              [("sum(increase("
                "bulwark_service_oom_kills_total{SELECT}[WINDOW]))",
                "replicas")], "oom"),
        graph("Rollouts", "short",
              [("sum(increase(bulwark_service_rollouts_total{SELECT}[WINDOW]))",
                "begun"),
               ("sum(increase("
                "bulwark_service_rollbacks_total{SELECT}[WINDOW]))",
                "rolled back")], "rollback"),
    ]),
    Row("Use", [
        graph("Processor", "short",
              [(_BY_REPLICA + "(rate("
                "bulwark_container_cpu_usage_seconds_total{SELECT}[WINDOW]))",
                "{{replica}}"),
               ("sum(bulwark_container_cpu_limit_cores{SELECT})",
                "limit of all", "autoscale")], "burn", help="In processors."),
        graph("Held up by the processor limit", "percentunit",
              [(_BY_REPLICA + "(rate(bulwark_container_cpu_throttled_"
                "seconds_total{SELECT}[WINDOW]))", "{{replica}}")], "burn"),
        graph("Memory", "bytes",
              [(_BY_REPLICA +
                "(bulwark_container_memory_working_set_bytes{SELECT})",
                "{{replica}}")], "burn"),
        graph("Memory of the limit", "percentunit",
              [("sum by (replica) "
                "(bulwark_container_memory_working_set_bytes{SELECT}) / "
                "sum by (replica) "
                "(bulwark_container_memory_limit_bytes{SELECT})",
                "{{replica}}")], "burn"),
        graph("Processes", "short",
              [(_BY_REPLICA + "(bulwark_container_pids{SELECT})",
                "{{replica}}")], "burn"),
        graph("Disk", "Bps",
              [(_BY_REPLICA + "(rate("
                "bulwark_container_io_read_bytes_total{SELECT}[WINDOW]))",
                "{{replica}} read"),
               (_BY_REPLICA + "(rate("
                "bulwark_container_io_write_bytes_total{SELECT}[WINDOW]))",
                "{{replica}} written")], "disk"),
        graph("Network", "Bps",
              [(_BY_REPLICA + "(rate("
                "bulwark_replica_network_receive_bytes_total{SELECT}[WINDOW]))",
                "{{replica}} received"),
               (_BY_REPLICA + "(rate(bulwark_replica_network_transmit_bytes_"
                "total{SELECT}[WINDOW]))", "{{replica}} sent")], "load"),
        graph("Waiting for resources", "percentunit",
              [("sum by (replica, resource) (rate(bulwark_container_pressure_"
                "stalled_seconds_total{SELECT}[WINDOW]))",
                "{{replica}} {{resource}}")], "burn"),
    ]),
    Row("Traffic", [
        graph("Connections by replica", "cps",
              [(_BY_REPLICA + "(rate("
                "bulwark_proxy_endpoint_connections_total{SELECT}[WINDOW]))",
                "{{replica}}")], "load"),
        graph("Open connections by replica", "short",
              [(_BY_REPLICA +
                "(bulwark_proxy_endpoint_connections_active{SELECT})",
                "{{replica}}")], "load"),
    ]),
    Row("Autoscaler", [
        graph("Decision", "short",
              [("max(bulwark_autoscaler_replicas_desired{SELECT})", "desired"),
               ("max(bulwark_autoscaler_replicas_recommended{SELECT})",
                "recommended"),
               ("max(bulwark_autoscaler_replicas_min{SELECT})", "min",
                "rescale"),
               ("max(bulwark_autoscaler_replicas_max{SELECT})", "max",
                "rescale")],
              "autoscale"),
        graph("Metrics", "short",
              [("max by (metric) (bulwark_autoscaler_metric_value{SELECT})",
                "{{metric}}"),
               ("max by (metric) (bulwark_autoscaler_metric_target{SELECT})",
                "{{metric}}, target", "rescale")], "autoscale"),
    ]),
])

NODE = Dashboard("node", "Bulwark: the host", [
    Row("Host", [
        graph("Processor", "percentunit",
              [("rate(bulwark_node_cpu_seconds_total[WINDOW]) / "
                "bulwark_node_cpu_cores", "used")], "burn", "change"),
        graph("Memory", "bytes",
              [("bulwark_node_memory_size_bytes - "
                "bulwark_node_memory_available_bytes", "used"),
               ("bulwark_node_memory_size_bytes", "all", "")], "burn",
              "change"),
        graph("Disk of the state directory", "bytes",
              [("bulwark_node_disk_size_bytes - "
                "bulwark_node_disk_available_bytes", "used"),
               ("bulwark_node_disk_size_bytes", "all", "grow_disk")],
              "full_disk"),
        graph("Waiting for resources", "percentunit",
              [("sum by (resource) (rate("
                "bulwark_node_pressure_stalled_seconds_total[WINDOW]))",
                "{{resource}}")], "burn", "change"),
        stat("Uptime", "s", "time() - bulwark_node_boot_time_seconds",
             "apply"),
    ]),
    Row("What uses it", [
        graph("Processor: the ten greatest", "short",
              [("topk(10, sum by (project, replica) (rate("
                "bulwark_container_cpu_usage_seconds_total[WINDOW])))",
                "{{project}}/{{replica}}")], "burn"),
        graph("Memory: the ten greatest", "bytes",
              [("topk(10, sum by (project, replica) "
                "(bulwark_container_memory_working_set_bytes))",
                "{{project}}/{{replica}}")], "apply", "change"),
    ]),
    Row("Volumes", [
        graph("Full", "percentunit",
              [("bulwark_volume_used_bytes / "
                "(bulwark_volume_capacity_bytes > 0)",
                "{{project}}/{{volume}}")], "volume"),
        graph("Used", "bytes",
              [("bulwark_volume_used_bytes", "{{project}}/{{volume}}")],
              "volume"),
        graph("Files", "percentunit",
              [("bulwark_volume_used_inodes / "
                "(bulwark_volume_capacity_inodes > 0)",
                "{{project}}/{{volume}}")], "volume"),
        graph("Snapshots", "short",
              [("bulwark_volume_snapshots", "{{project}}/{{volume}}")],
              "volume"),
    ]),
])

_BY_PORT = "sum by (project, service, port) "
_PORT = "{{project}}/{{service}}/{{port}}"

PROXY = Dashboard("proxy", "Bulwark: the proxy", [
    Row("Ports", [
        stat("Proxy", "short", "max(bulwark_proxy_up)", "proxy_stopped",
             "down", "1 while the proxy answers the daemon."),
        stat("Configuration", "short", "max(bulwark_proxy_snapshot_version)",
             "apply", help="Grows with each change."),
        graph("Connections", "cps",
              [(_BY_PORT + "(rate("
                "bulwark_proxy_connections_accepted_total{SELECT}[WINDOW]))",
                _PORT)], "load"),
        graph("Open connections", "short",
              [(_BY_PORT +
                "(bulwark_proxy_endpoint_connections_active{SELECT})", _PORT)],
              "load"),
        graph("Received from clients", "Bps",
              [(_BY_PORT + "(rate(bulwark_proxy_endpoint_receive_bytes_total"
                "{SELECT}[WINDOW]))", _PORT)], "load"),
        graph("Sent to clients", "Bps",
              [(_BY_PORT + "(rate(bulwark_proxy_endpoint_transmit_bytes_total"
                "{SELECT}[WINDOW]))", _PORT)], "load"),
        graph("Waiting for a replica", "short",
              [(_BY_PORT + "(bulwark_proxy_connections_held{SELECT})", _PORT)],
              "no_backend"),
        graph("Had to wait", "cps",
              [(_BY_PORT + "(rate("
                "bulwark_proxy_connections_held_total{SELECT}[WINDOW]))",
                _PORT)], "no_backend"),
        graph("Failed", "cps",
              [(_BY_PORT + "(rate("
                "bulwark_proxy_connections_failed_total{SELECT}[WINDOW]))",
                _PORT)], "no_backend"),
        graph("Tried again", "cps",
              [(_BY_PORT + "(rate("
                "bulwark_proxy_connections_retried_total{SELECT}[WINDOW]))",
                _PORT)], "refuse"),
    ]),
    Row("Replicas", [
        graph("Time to connect", "s",
              [("sum by (replica) (rate(bulwark_proxy_endpoint_connect_"
                "seconds_total{SELECT}[WINDOW])) / (sum by (replica) (rate("
                "bulwark_proxy_endpoint_connections_total{SELECT}[WINDOW])) "
                "> 0)", "{{replica}}")], "load"),
        graph("Refused connects", "cps",
              [(_BY_REPLICA + "(rate(bulwark_proxy_endpoint_connect_failures_"
                "total{SELECT}[WINDOW]))", "{{replica}}")], "refuse"),
        graph("Ejected", "short",
              [(_BY_REPLICA + "(bulwark_proxy_endpoint_ejected{SELECT})",
                "{{replica}}")], "refuse"),
    ]),
])

DASHBOARDS = [OVERVIEW, SERVICE, NODE, PROXY]
