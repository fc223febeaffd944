#include "daemon/metrics/usage.h"

namespace bulwark::daemon {
namespace {

double Number(int64_t value) { return static_cast<double>(value); }

void AddContainer(const scheduler::ReplicaUsage& r,
                  const scheduler::ContainerUsage& c,
                  metrics::Samples& samples) {
  const auto add = [&](metrics::SeriesName series, double value) {
    samples.Add(series, {r.project, r.service, r.job, r.name, c.name}, value);
  };
  const engine::ContainerStats& stats = c.stats;
  add("bulwark_container_cpu_usage_seconds_total",
      absl::ToDoubleSeconds(stats.cpu_usage));
  add("bulwark_container_cpu_throttled_seconds_total",
      absl::ToDoubleSeconds(stats.cpu_throttled));
  if (stats.cpu_limit_millicores > 0) {
    add("bulwark_container_cpu_limit_cores",
        Number(stats.cpu_limit_millicores) / 1000);
  }
  add("bulwark_container_memory_working_set_bytes", Number(stats.memory_bytes));
  if (stats.memory_limit_bytes > 0) {
    add("bulwark_container_memory_limit_bytes",
        Number(stats.memory_limit_bytes));
  }
  add("bulwark_container_io_read_bytes_total", Number(stats.io_read_bytes));
  add("bulwark_container_io_write_bytes_total", Number(stats.io_write_bytes));
  add("bulwark_container_pids", Number(stats.pids));
  add("bulwark_container_oom_kills_total", Number(stats.oom_kills));
  for (const auto& [resource, stalled] :
       {std::pair("cpu", stats.cpu_stalled),
        std::pair("memory", stats.memory_stalled),
        std::pair("io", stats.io_stalled)}) {
    samples.Add("bulwark_container_pressure_stalled_seconds_total",
                {r.project, r.service, r.job, r.name, c.name, resource},
                absl::ToDoubleSeconds(stalled));
  }
}

void AddNode(const scheduler::NodeUsage& node, metrics::Samples& samples) {
  samples.Add("bulwark_node_cpu_seconds_total",
              absl::ToDoubleSeconds(node.cpu_usage));
  samples.Add("bulwark_node_cpu_cores", Number(node.cpu_millicores) / 1000);
  samples.Add("bulwark_node_memory_size_bytes",
              Number(node.memory_total_bytes));
  samples.Add("bulwark_node_memory_available_bytes",
              Number(node.memory_available_bytes));
  samples.Add("bulwark_node_disk_size_bytes", Number(node.disk_total_bytes));
  samples.Add("bulwark_node_disk_available_bytes",
              Number(node.disk_available_bytes));
}

}  // namespace

void AddUsage(const scheduler::UsageSample& usage, metrics::Samples& samples) {
  for (const scheduler::ReplicaUsage& r : usage.replicas) {
    for (const scheduler::ContainerUsage& c : r.containers) {
      AddContainer(r, c, samples);
    }
    if (!r.traffic.has_value()) continue;
    samples.Add("bulwark_replica_network_receive_bytes_total",
                {r.project, r.service, r.job, r.name},
                Number(r.traffic->receive_bytes));
    samples.Add("bulwark_replica_network_transmit_bytes_total",
                {r.project, r.service, r.job, r.name},
                Number(r.traffic->transmit_bytes));
  }
  if (usage.node.has_value()) AddNode(*usage.node, samples);
}

}  // namespace bulwark::daemon
