// What a control group has used, from both versions' files.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/unique_fd.h"
#include "os/cgroup.h"

namespace bulwark::os {
namespace {

// Version 1 says "no limit" with the largest multiple of a page.
constexpr int64_t kNoLimit = int64_t{1} << 62;

// The text of one file of a group; empty if it cannot be read. One buffer for
// all the files of a group: memory.stat, the longest, has some 2 KiB.
class Reader {
 public:
  absl::string_view Read(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) return {};
    const ssize_t n = read(fd.get(), buffer_, sizeof(buffer_));
    return n <= 0 ? absl::string_view()
                  : absl::string_view(buffer_, static_cast<size_t>(n));
  }

 private:
  char buffer_[16384];
};

// The number that is all of `text`; 0 for "max" and anything else.
int64_t Number(absl::string_view text) {
  int64_t value = 0;
  return absl::SimpleAtoi(text, &value) ? value : 0;
}

// The number on the line "`key` N"; 0 if there is none.
int64_t Field(absl::string_view text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, key) && absl::ConsumePrefix(&line, " ")) {
      return Number(line);
    }
  }
  return 0;
}

// The sum of "`key`=N" (version 2, one line for each device).
int64_t SumOfPairs(absl::string_view text, absl::string_view key) {
  int64_t sum = 0;
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&word, key) && absl::ConsumePrefix(&word, "=")) {
      sum += Number(word);
    }
  }
  return sum;
}

// The sum of the lines "MAJOR:MINOR `operation` N" (version 1).
int64_t SumOfLines(absl::string_view text, absl::string_view operation) {
  int64_t sum = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t space = line.find(' ');
    if (space == absl::string_view::npos) continue;
    line.remove_prefix(space + 1);
    if (absl::ConsumePrefix(&line, operation) &&
        absl::ConsumePrefix(&line, " ")) {
      sum += Number(line);
    }
  }
  return sum;
}

// "some avg10=0.00 avg60=0.15 avg300=0.08 total=721289".
absl::Duration Stalled(absl::string_view pressure) {
  const absl::string_view some = pressure.substr(0, pressure.find('\n'));
  return absl::StartsWith(some, "some ")
             ? absl::Microseconds(SumOfPairs(some, "total"))
             : absl::ZeroDuration();
}

int64_t Millicores(int64_t quota, int64_t period) {
  return quota > 0 && period > 0 ? quota * 1000 / period : 0;
}

}  // namespace

void Cgroups::ReadCpu(absl::string_view name, const std::string& unified,
                      CgroupStats& stats) const {
  Reader file;
  if (HasV1("cpu")) {
    const std::string cpu = V1("cpu", name);
    stats.cpu_throttled = absl::Nanoseconds(
        Field(file.Read(cpu + "/cpu.stat"), "throttled_time"));
    // -1 without a limit.
    const int64_t quota = Number(file.Read(cpu + "/cpu.cfs_quota_us"));
    if (quota > 0) {
      stats.cpu_limit_millicores =
          Millicores(quota, Number(file.Read(cpu + "/cpu.cfs_period_us")));
    }
  } else {
    // "150000 100000", or "max 100000".
    const std::pair<absl::string_view, absl::string_view> limit =
        absl::StrSplit(file.Read(unified + "/cpu.max"),
                       absl::MaxSplits(' ', 1));
    stats.cpu_limit_millicores =
        Millicores(Number(limit.first), Number(limit.second));
  }
  if (HasV1("cpuacct")) {
    stats.cpu_usage = absl::Nanoseconds(
        Number(file.Read(V1("cpuacct", name) + "/cpuacct.usage")));
    if (HasV1("cpu")) return;
  }
  const absl::string_view text = file.Read(unified + "/cpu.stat");
  if (!HasV1("cpuacct")) {
    stats.cpu_usage = absl::Microseconds(Field(text, "usage_usec"));
  }
  if (!HasV1("cpu")) {
    stats.cpu_throttled = absl::Microseconds(Field(text, "throttled_usec"));
  }
}

void Cgroups::ReadMemory(absl::string_view name, const std::string& unified,
                         CgroupStats& stats) const {
  Reader file;
  int64_t usage, inactive;
  if (HasV1("memory")) {
    const std::string memory = V1("memory", name);
    usage = Number(file.Read(memory + "/memory.usage_in_bytes"));
    inactive = Field(file.Read(memory + "/memory.stat"), "total_inactive_file");
    stats.memory_limit_bytes =
        Number(file.Read(memory + "/memory.limit_in_bytes"));
  } else {
    usage = Number(file.Read(unified + "/memory.current"));
    inactive = Field(file.Read(unified + "/memory.stat"), "inactive_file");
    stats.memory_limit_bytes = Number(file.Read(unified + "/memory.max"));
  }
  if (stats.memory_limit_bytes >= kNoLimit) stats.memory_limit_bytes = 0;
  stats.memory_bytes = std::max<int64_t>(0, usage - inactive);
  stats.oom_kills = Field(file.Read(Paths(name).oom_file), "oom_kill");
}

void Cgroups::ReadIo(absl::string_view name, const std::string& unified,
                     CgroupStats& stats) const {
  Reader file;
  if (HasV1("blkio")) {
    const absl::string_view text = file.Read(
        V1("blkio", name) + "/blkio.throttle.io_service_bytes_recursive");
    stats.io_read_bytes = SumOfLines(text, "Read");
    stats.io_write_bytes = SumOfLines(text, "Write");
  } else {
    const absl::string_view text = file.Read(unified + "/io.stat");
    stats.io_read_bytes = SumOfPairs(text, "rbytes");
    stats.io_write_bytes = SumOfPairs(text, "wbytes");
  }
}

absl::StatusOr<CgroupStats> Cgroups::Stats(absl::string_view name) const {
  const std::string unified = Paths(name).unified;
  if (access(unified.c_str(), F_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("read ", unified, ": no such group"));
  }
  CgroupStats stats;
  ReadCpu(name, unified, stats);
  ReadMemory(name, unified, stats);
  ReadIo(name, unified, stats);
  Reader file;
  const std::string pids = HasV1("pids") ? V1("pids", name) : unified;
  stats.pids = Number(file.Read(pids + "/pids.current"));
  stats.cpu_stalled = Stalled(file.Read(unified + "/cpu.pressure"));
  stats.memory_stalled = Stalled(file.Read(unified + "/memory.pressure"));
  stats.io_stalled = Stalled(file.Read(unified + "/io.pressure"));
  return stats;
}

}  // namespace bulwark::os
