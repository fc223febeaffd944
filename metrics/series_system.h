// The series of the host, the data plane and the daemon itself. See names.h.
#ifndef METRICS_SERIES_SYSTEM_H_
#define METRICS_SERIES_SYSTEM_H_

#include "metrics/series.h"

namespace bulwark::metrics {

inline constexpr char kOfPool[] = "project,service,port";
inline constexpr char kOfEndpoint[] = "project,service,port,replica";

inline constexpr Series kSystemSeries[] = {
    {"bulwark_build_info", Type::kGauge, "version,kernel",
     "1; the daemon's version and the host's kernel."},
    {"bulwark_daemon_degraded", Type::kGauge, "",
     "1 if the daemon runs with its hands tied (its log says why), else 0."},
    {"bulwark_secrets_sealed", Type::kGauge, "",
     "1 if the key of secrets is missing or wrong, so that what needs one "
     "waits, else 0."},
    {"bulwark_objects", Type::kGauge, "kind", "Stored objects."},
    // Node
    {"bulwark_node_cpu_seconds_total", Type::kCounter, "",
     "Processor time that was used, of all processors."},
    {"bulwark_node_cpu_cores", Type::kGauge, "", "Processors."},
    {"bulwark_node_memory_size_bytes", Type::kGauge, "", "Memory of the host."},
    {"bulwark_node_memory_available_bytes", Type::kGauge, "",
     "Memory that could be had without swapping."},
    {"bulwark_node_disk_size_bytes", Type::kGauge, "",
     "Size of the file system of the state directory."},
    {"bulwark_node_disk_available_bytes", Type::kGauge, "",
     "Free space of the file system of the state directory."},
    {"bulwark_node_pressure_stalled_seconds_total", Type::kCounter, "resource",
     "Time that some of the host's tasks waited for the resource: cpu, memory, "
     "io."},
    {"bulwark_node_boot_time_seconds", Type::kGauge, "",
     "When the host was booted, in seconds since 1970."},
    // Proxy
    {"bulwark_proxy_up", Type::kGauge, "",
     "1 if the proxy answers the daemon, else 0; its other series are absent "
     "then."},
    {"bulwark_proxy_snapshot_version", Type::kGauge, "",
     "Version of the configuration that the proxy serves."},
    {"bulwark_proxy_connections_accepted_total", Type::kCounter, kOfPool,
     "Connections that were accepted."},
    {"bulwark_proxy_connections_held", Type::kGauge, kOfPool,
     "Connections that wait for a ready endpoint."},
    {"bulwark_proxy_connections_held_total", Type::kCounter, kOfPool,
     "Connections that had to wait for a ready endpoint."},
    {"bulwark_proxy_connections_failed_total", Type::kCounter, kOfPool,
     "Connections that were closed without an answer: no endpoint within the "
     "hold time, or every endpoint refused."},
    {"bulwark_proxy_connections_retried_total", Type::kCounter, kOfPool,
     "Attempts on another endpoint after a failed one."},
    {"bulwark_proxy_endpoint_connections_active", Type::kGauge, kOfEndpoint,
     "Connections that are connecting or established."},
    {"bulwark_proxy_endpoint_connections_total", Type::kCounter, kOfEndpoint,
     "Connections that were established."},
    {"bulwark_proxy_endpoint_connect_failures_total", Type::kCounter,
     kOfEndpoint, "Connects that were refused or timed out."},
    {"bulwark_proxy_endpoint_connect_seconds_total", Type::kCounter,
     kOfEndpoint, "Time that the established connections took to connect."},
    {"bulwark_proxy_endpoint_receive_bytes_total", Type::kCounter, kOfEndpoint,
     "Bytes from clients to the endpoint."},
    {"bulwark_proxy_endpoint_transmit_bytes_total", Type::kCounter, kOfEndpoint,
     "Bytes from the endpoint to clients."},
    {"bulwark_proxy_endpoint_ejected", Type::kGauge, kOfEndpoint,
     "1 if the endpoint gets no connections because it refused too many, else "
     "0."},
    // Controllers
    {"bulwark_controller_queue_ready", Type::kGauge, "controller",
     "Objects that wait for a worker."},
    {"bulwark_controller_queue_delayed", Type::kGauge, "controller",
     "Objects that wait for their time, most of them after a failure."},
    {"bulwark_controller_workers_busy", Type::kGauge, "controller",
     "Workers at work."},
    {"bulwark_controller_reconcile_duration_seconds", Type::kHistogram,
     "controller", "How long one look at an object takes."},
    {"bulwark_controller_reconcile_errors_total", Type::kCounter, "controller",
     "Looks at an object that failed."},
    {"bulwark_controller_reconcile_retries_total", Type::kCounter, "controller",
     "Failed looks that are tried again soon."},
    // Store
    {"bulwark_store_commits_total", Type::kCounter, "",
     "Commits that changed something."},
    {"bulwark_store_write_duration_seconds", Type::kHistogram, "",
     "How long one write of a group of commits takes, with its fsync."},
    {"bulwark_store_write_failures_total", Type::kCounter, "",
     "Writes that failed."},
    {"bulwark_store_reopened_total", Type::kCounter, "",
     "Times that the database was opened again after a failure."},
    {"bulwark_store_size_bytes", Type::kGauge, "",
     "Space that the store takes on the disk, with its checkpoints."},
    {"bulwark_store_log_revisions", Type::kGauge, "",
     "Revisions that the change log reaches back."},
    {"bulwark_store_revision", Type::kGauge, "", "Number of the last commit."},
    // API
    {"bulwark_api_calls_total", Type::kCounter, "method,code",
     "Calls that ended, by their status code."},
    {"bulwark_api_calls_in_flight", Type::kGauge, "method",
     "Calls at work, streams included."},
    {"bulwark_api_call_duration_seconds", Type::kHistogram, "method",
     "How long calls that are no streams take."},
    // Images
    {"bulwark_images", Type::kGauge, "", "Images of this host."},
    {"bulwark_image_pulls_total", Type::kCounter, "result",
     "Pulls that downloaded something (ok), or failed (error)."},
    {"bulwark_image_pull_bytes_total", Type::kCounter, "",
     "Bytes that pulls downloaded."},
    {"bulwark_image_pull_duration_seconds", Type::kHistogram, "",
     "How long pulls that download something take."},
    {"bulwark_image_pushes_total", Type::kCounter, "result",
     "Pushes to registries that ended well (ok), or failed (error)."},
    {"bulwark_image_push_bytes_total", Type::kCounter, "",
     "Bytes that pushes uploaded."},
    {"bulwark_image_push_duration_seconds", Type::kHistogram, "",
     "How long pushes take."},
    {"bulwark_image_refusals_total", Type::kCounter, "",
     "Pulls and starts of containers that the signature policy refused."},
    {"bulwark_image_lookups_total", Type::kCounter, "",
     "Questions to registries for the image behind a tag, for automatic "
     "updates."},
    {"bulwark_image_collections_total", Type::kCounter, "",
     "Times that images were removed to make room on the disk."},
    {"bulwark_image_collected_bytes_total", Type::kCounter, "",
     "Bytes of what was removed to make room on the disk."},
    // The daemon's process, as every Prometheus client names it
    {"process_cpu_seconds_total", Type::kCounter, "",
     "Processor time of the daemon."},
    {"process_resident_memory_bytes", Type::kGauge, "",
     "Memory of the daemon."},
    {"process_open_fds", Type::kGauge, "", "Open descriptors of the daemon."},
    {"process_max_fds", Type::kGauge, "",
     "Descriptors that the daemon may open."},
    {"process_threads", Type::kGauge, "", "Threads of the daemon."},
    {"process_start_time_seconds", Type::kGauge, "",
     "When the daemon was started, in seconds since 1970."},
};

}  // namespace bulwark::metrics

#endif  // METRICS_SERIES_SYSTEM_H_
