// What replicas and the host use, as values. Pure.
#ifndef SCHEDULER_USAGE_USAGE_H_
#define SCHEDULER_USAGE_USAGE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "netmesh/network.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::scheduler {

struct ContainerUsage {
  std::string id;    // of the engine: another one after a restart
  std::string name;  // in the manifest
  engine::ContainerStats stats;
};

// A replica with at least one running container.
struct ReplicaUsage {
  std::string uid;
  std::string project;
  std::string service;  // or job, never both
  std::string job;
  std::string name;
  int slot = 0;
  // Of the link that its containers share, which the slot's next replica
  // inherits. Not set: not known.
  std::optional<netmesh::Traffic> traffic;
  // Established connections through the proxy. Not set: not known.
  std::optional<int64_t> connections;
  std::vector<ContainerUsage> containers;  // by name
};

struct NodeUsage {
  absl::Duration cpu_usage;  // since boot, all processors together
  int64_t cpu_millicores = 0;
  int64_t memory_total_bytes = 0;
  int64_t memory_available_bytes = 0;
  int64_t disk_total_bytes = 0;
  int64_t disk_available_bytes = 0;
};

// Everything at one time.
struct UsageSample {
  absl::Time time;
  absl::Duration steady;               // the same, of the steady clock
  std::vector<ReplicaUsage> replicas;  // by project and name
  std::optional<NodeUsage> node;
  std::optional<dataplane::v1::Stats> proxy;
  // Why one of the two, or traffic, is not known: "node: …". Mostly empty.
  std::vector<std::string> errors;
};
using UsageSamplePtr = std::shared_ptr<const UsageSample>;

// What one replica used in the last seconds.
struct ReplicaLoad {
  absl::Time time;
  // How much of the time before `time` the processor's share covers; zero: no
  // share is known yet.
  absl::Duration window;
  // By container; only those of which it is known.
  std::map<std::string, double> cpu_millicores;
  std::map<std::string, int64_t> memory_bytes;
  std::optional<double> connections;
};

// Samples that are further apart than this say nothing about now; closer ones
// than the other say little about the processor.
inline constexpr absl::Duration kLoadWindow = absl::Seconds(6);
inline constexpr absl::Duration kLeastLoadWindow = absl::Milliseconds(900);

// The load of each replica, by uid, from samples in the order of their time.
// The processor's share is the mean over kLoadWindow, the rest as last seen.
// Empty if the newest sample is older than kLoadWindow at `steady`.
std::map<std::string, ReplicaLoad> LoadsOf(
    const std::vector<UsageSamplePtr>& samples, absl::Duration steady);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_USAGE_USAGE_H_
