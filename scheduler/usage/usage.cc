#include "scheduler/usage/usage.h"

#include <algorithm>

namespace bulwark::scheduler {
namespace {

// When a container was first seen, and what it had used by then.
struct Start {
  absl::Duration steady;
  absl::Duration cpu_usage;
};

// By the engine's id.
std::map<std::string, Start> FirstSeen(
    const std::vector<UsageSamplePtr>& samples, absl::Duration since) {
  std::map<std::string, Start> first;
  for (const UsageSamplePtr& sample : samples) {
    if (sample->steady < since) continue;
    for (const ReplicaUsage& replica : sample->replicas) {
      for (const ContainerUsage& c : replica.containers) {
        first.try_emplace(c.id, Start{sample->steady, c.stats.cpu_usage});
      }
    }
  }
  return first;
}

ReplicaLoad LoadOf(const UsageSample& last, const ReplicaUsage& replica,
                   const std::map<std::string, Start>& first) {
  ReplicaLoad load;
  load.time = last.time;
  for (const ContainerUsage& c : replica.containers) {
    load.memory_bytes[c.name] = c.stats.memory_bytes;
    const Start& start = first.at(c.id);
    const absl::Duration window = last.steady - start.steady;
    // A counter that went back is another group's.
    if (window < kLeastLoadWindow || c.stats.cpu_usage < start.cpu_usage) {
      continue;
    }
    load.cpu_millicores[c.name] =
        1000 * absl::FDivDuration(c.stats.cpu_usage - start.cpu_usage, window);
    load.window = std::max(load.window, window);
  }
  if (replica.connections.has_value()) {
    load.connections = static_cast<double>(*replica.connections);
  }
  return load;
}

}  // namespace

std::map<std::string, ReplicaLoad> LoadsOf(
    const std::vector<UsageSamplePtr>& samples, absl::Duration steady) {
  std::map<std::string, ReplicaLoad> loads;
  if (samples.empty()) return loads;
  const UsageSample& last = *samples.back();
  if (last.steady + kLoadWindow < steady) return loads;
  const std::map<std::string, Start> first =
      FirstSeen(samples, last.steady - kLoadWindow);
  for (const ReplicaUsage& replica : last.replicas) {
    loads[replica.uid] = LoadOf(last, replica, first);
  }
  return loads;
}

}  // namespace bulwark::scheduler
