#include "daemon/usage_stats.h"

#include "base/status.h"
#include "os/node_usage.h"
#include "scheduler/times.h"

namespace bulwark::daemon {
namespace {

void Fill(const scheduler::ReplicaUsage& replica,
          const scheduler::ContainerUsage& container, v1::ContainerUsage& out) {
  out.set_project(replica.project);
  out.set_service(replica.service);
  out.set_job(replica.job);
  out.set_replica(replica.name);
  out.set_container(container.name);
  const engine::ContainerStats& stats = container.stats;
  out.set_cpu_usec(absl::ToInt64Microseconds(stats.cpu_usage));
  out.set_cpu_throttled_usec(absl::ToInt64Microseconds(stats.cpu_throttled));
  out.set_cpu_limit_millicores(stats.cpu_limit_millicores);
  out.set_memory_bytes(stats.memory_bytes);
  out.set_memory_limit_bytes(stats.memory_limit_bytes);
  out.set_io_read_bytes(stats.io_read_bytes);
  out.set_io_write_bytes(stats.io_write_bytes);
  out.set_pids(stats.pids);
  out.set_oom_kills(stats.oom_kills);
  out.set_cpu_stalled_usec(absl::ToInt64Microseconds(stats.cpu_stalled));
  out.set_memory_stalled_usec(absl::ToInt64Microseconds(stats.memory_stalled));
  out.set_io_stalled_usec(absl::ToInt64Microseconds(stats.io_stalled));
  // Of the whole replica: its containers share one link.
  if (replica.traffic.has_value()) {
    out.set_network_receive_bytes(replica.traffic->receive_bytes);
    out.set_network_transmit_bytes(replica.traffic->transmit_bytes);
  }
}

}  // namespace

absl::StatusOr<scheduler::NodeUsage> ReadNode(const std::string& state_dir) {
  ASSIGN_OR_RETURN(const os::NodeUsage from, os::ReadNodeUsage(state_dir));
  scheduler::NodeUsage node;
  node.cpu_usage = from.cpu_usage;
  node.cpu_millicores = int64_t{1000} * from.cpus;
  node.memory_total_bytes = from.memory_total_bytes;
  node.memory_available_bytes = from.memory_available_bytes;
  node.disk_total_bytes = from.disk_total_bytes;
  node.disk_available_bytes = from.disk_available_bytes;
  return node;
}

v1::StatsResponse ToStats(const scheduler::UsageSample& sample) {
  v1::StatsResponse stats;
  scheduler::SetTime(stats.mutable_time(), sample.time);
  for (const scheduler::ReplicaUsage& replica : sample.replicas) {
    for (const scheduler::ContainerUsage& container : replica.containers) {
      Fill(replica, container, *stats.add_containers());
    }
  }
  if (!sample.node.has_value()) return stats;
  v1::NodeUsage& node = *stats.mutable_node();
  node.set_cpu_usec(absl::ToInt64Microseconds(sample.node->cpu_usage));
  node.set_cpu_millicores(sample.node->cpu_millicores);
  node.set_memory_total_bytes(sample.node->memory_total_bytes);
  node.set_memory_available_bytes(sample.node->memory_available_bytes);
  node.set_disk_total_bytes(sample.node->disk_total_bytes);
  node.set_disk_available_bytes(sample.node->disk_available_bytes);
  return stats;
}

}  // namespace bulwark::daemon
