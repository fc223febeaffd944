#include "os/node_usage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

constexpr int64_t kMaxText = 4 << 20;  // /proc/stat counts every interrupt

// Fields of a "cpu" line after its name, see proc(5): user nice system idle
// iowait irq softirq steal guest guest_nice. The guests' time is part of user
// and nice.
constexpr size_t kIdle = 3, kIoWait = 4, kSteal = 7, kGuest = 8;

// "MemTotal:       16384 kB".
absl::StatusOr<int64_t> Bytes(absl::string_view text, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, name)) continue;
    absl::ConsumeSuffix(&line, "kB");
    int64_t kib;
    if (absl::SimpleAtoi(absl::StripAsciiWhitespace(line), &kib)) {
      return kib * 1024;
    }
  }
  return absl::DataLossError(
      absl::StrCat("read /proc/meminfo: no line ", name));
}

}  // namespace

absl::Status ParseProcStat(absl::string_view text, int64_t ticks_per_second,
                           NodeUsage& usage) {
  bool found = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "cpu")) continue;
    if (!absl::StartsWith(line, " ")) {
      ++usage.cpus;
      continue;
    }
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t ticks = 0;
    for (size_t i = 0; i < fields.size() && i < kGuest; ++i) {
      int64_t value;
      // Time that the hypervisor gave to others is nobody's use here.
      if (i == kIdle || i == kIoWait || i == kSteal) continue;
      if (absl::SimpleAtoi(fields[i], &value)) ticks += value;
    }
    usage.cpu_usage = absl::Seconds(1) * ticks / ticks_per_second;
    found = fields.size() > kIdle;
  }
  if (found && usage.cpus > 0) return absl::OkStatus();
  return absl::DataLossError("read /proc/stat: no line of processors");
}

absl::Status ParseMemInfo(absl::string_view text, NodeUsage& usage) {
  ASSIGN_OR_RETURN(usage.memory_total_bytes, Bytes(text, "MemTotal:"));
  ASSIGN_OR_RETURN(usage.memory_available_bytes, Bytes(text, "MemAvailable:"));
  return absl::OkStatus();
}

absl::StatusOr<NodeUsage> ReadNodeUsage(const std::string& disk_path) {
  NodeUsage usage;
  ASSIGN_OR_RETURN(const std::string stat, ReadFile("/proc/stat", kMaxText));
  RETURN_IF_ERROR(ParseProcStat(stat, sysconf(_SC_CLK_TCK), usage));
  ASSIGN_OR_RETURN(const std::string memory,
                   ReadFile("/proc/meminfo", kMaxText));
  RETURN_IF_ERROR(ParseMemInfo(memory, usage));
  struct statvfs disk;
  if (statvfs(disk_path.c_str(), &disk) != 0) {
    return ErrnoStatus("measure", disk_path);
  }
  const int64_t block = static_cast<int64_t>(disk.f_frsize);
  usage.disk_total_bytes = static_cast<int64_t>(disk.f_blocks) * block;
  usage.disk_available_bytes = static_cast<int64_t>(disk.f_bavail) * block;
  return usage;
}

}  // namespace bulwark::os
