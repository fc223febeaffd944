// What is used, from two answers of Containers.Stats. Pure.
#ifndef CTL_USAGE_H_
#define CTL_USAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// One service, job or replica. Rates are over the time between the answers.
struct Usage {
  std::string project;
  std::string name;  // "web", "job/import"; of a replica "web-0-x2x4z"
  int replicas = 0;
  int64_t cpu_millicores = 0;
  int64_t cpu_limit_millicores = 0;  // 0: some container has none
  int64_t memory_bytes = 0;
  int64_t memory_limit_bytes = 0;
  int64_t receive_rate = 0;  // bytes a second
  int64_t transmit_rate = 0;
  int64_t read_rate = 0;
  int64_t write_rate = 0;
  int64_t pids = 0;
  // Part of the time in which its limit kept it from running, in percent of
  // one processor.
  int64_t throttled_percent = 0;
  int64_t oom_kills = 0;
};

// The largest users of the processor first; `by_replica`: one row each.
// Containers that are in one of the answers only count without rates.
std::vector<Usage> UsageOf(const v1::StatsResponse& before,
                           const v1::StatsResponse& after, bool by_replica);

// "Node: cpu 0.43 of 2 (21%), memory 3.1 GB of 24 GB (13%), disk …"
std::string NodeLine(const v1::StatsResponse& before,
                     const v1::StatsResponse& after);

// A table of at most `max_rows` rows, which says how many it left out.
std::string UsageTable(const std::vector<Usage>& rows, bool by_replica,
                       bool projects, size_t max_rows);

// {"node": {…}, "items": […]}: raw numbers, for programs.
std::string UsageJson(const v1::StatsResponse& before,
                      const v1::StatsResponse& after,
                      const std::vector<Usage>& rows, bool by_replica);

}  // namespace bulwark::ctl

#endif  // CTL_USAGE_H_
