// From a container of the API to one of the engine. Pure.
#ifndef SCHEDULER_REPLICA_SPEC_H_
#define SCHEDULER_REPLICA_SPEC_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/container_spec.h"
#include "engine/images.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// What surrounds the container.
struct LaunchContext {
  std::string container_id;
  std::string netns_path;
  std::string nameserver;  // the network's gateway
  std::string dns_domain;  // "bulwark.internal"
  std::vector<engine::Mount> mounts;
  engine::IdRange ids;  // of the replica's user namespace
};

// INVALID_ARGUMENT if there is no command: neither container nor image has one.
absl::StatusOr<engine::ContainerSpec> BuildSpec(const v1::Replica& replica,
                                                const v1::Container& container,
                                                const engine::Image& image,
                                                const LaunchContext& context);

engine::Resources ResourcesOf(const v1::ResourceLimits& limits);

// The number of "SIGTERM", "TERM" or "15"; SIGTERM for an empty or unknown one.
int SignalNumber(absl::string_view name);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_SPEC_H_
