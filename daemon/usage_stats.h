// What is used, from the kernel to the sampler and from there to the API.
#ifndef DAEMON_USAGE_STATS_H_
#define DAEMON_USAGE_STATS_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/bulwark/v1/api.pb.h"
#include "scheduler/usage/usage.h"

namespace bulwark::daemon {

absl::StatusOr<scheduler::NodeUsage> ReadNode(const std::string& state_dir);

v1::StatsResponse ToStats(const scheduler::UsageSample& sample);

}  // namespace bulwark::daemon

#endif  // DAEMON_USAGE_STATS_H_
