// What the whole host uses.
#ifndef OS_NODE_USAGE_H_
#define OS_NODE_USAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bulwark::os {

struct NodeUsage {
  absl::Duration cpu_usage;  // since boot, all processors together
  int cpus = 0;              // online
  int64_t memory_total_bytes = 0;
  int64_t memory_available_bytes = 0;  // what new programs could take
  int64_t disk_total_bytes = 0;
  int64_t disk_available_bytes = 0;  // for users without privileges
};

// Reads /proc/stat, /proc/meminfo and the file system that holds `disk_path`.
// Thread-safe; blocks for well under a millisecond.
absl::StatusOr<NodeUsage> ReadNodeUsage(const std::string& disk_path);

// The parts, from the files' text. DATA_LOSS if a line that is needed is
// missing. `ticks_per_second`: sysconf(_SC_CLK_TCK).
absl::Status ParseProcStat(absl::string_view text, int64_t ticks_per_second,
                           NodeUsage& usage);
absl::Status ParseMemInfo(absl::string_view text, NodeUsage& usage);

}  // namespace bulwark::os

#endif  // OS_NODE_USAGE_H_
