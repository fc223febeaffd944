#include "daemon/metrics/host.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/unique_fd.h"

namespace bulwark::daemon {
namespace {

namespace fs = std::filesystem;

// The files of /proc that we read are shorter, but for /proc/stat, whose line
// that we want may come late.
constexpr size_t kMaxFile = size_t{1} << 20;

// "" if it cannot be read.
std::string Read(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (fd.ok() && text.size() < kMaxFile) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n <= 0) break;
    text.append(buffer, n);
  }
  return text;
}

// In seconds since 1970; nothing if it cannot be read.
std::optional<double> BootTime() {
  const std::string text = Read("/proc/stat");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") &&
        absl::SimpleAtod(line, &seconds)) {
      return seconds;
    }
  }
  return std::nullopt;
}

int64_t OpenFds() {
  int64_t count = 0;
  std::error_code error;
  for (fs::directory_iterator it("/proc/self/fd", error), end;
       !error && it != end; it.increment(error)) {
    ++count;
  }
  return count - 1;  // the iterator's own
}

}  // namespace

std::optional<absl::Duration> ParsePressure(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "some ")) continue;
    int64_t total = 0;
    const size_t at = line.find("total=");
    if (at == absl::string_view::npos ||
        !absl::SimpleAtoi(line.substr(at + 6), &total)) {
      return std::nullopt;
    }
    return absl::Microseconds(total);
  }
  return std::nullopt;
}

std::optional<ProcessStat> ParseProcessStat(absl::string_view text,
                                            double ticks_per_second) {
  // The name, in brackets, may hold anything.
  const size_t name_end = text.rfind(')');
  if (name_end == absl::string_view::npos) return std::nullopt;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      text.substr(name_end + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  // proc(5) counts from 1; the first here is the third there.
  double user = 0, system = 0, start = 0;
  ProcessStat stat;
  if (fields.size() < 22 || !absl::SimpleAtod(fields[11], &user) ||
      !absl::SimpleAtod(fields[12], &system) ||
      !absl::SimpleAtoi(fields[17], &stat.threads) ||
      !absl::SimpleAtod(fields[19], &start) ||
      !absl::SimpleAtoi(fields[21], &stat.resident_pages)) {
    return std::nullopt;
  }
  stat.cpu_seconds = (user + system) / ticks_per_second;
  stat.start_seconds = start / ticks_per_second;
  return stat;
}

void AddProcess(metrics::Samples& samples) {
  const auto stat = ParseProcessStat(Read("/proc/self/stat"),
                                     static_cast<double>(sysconf(_SC_CLK_TCK)));
  if (stat.has_value()) {
    samples.Add("process_cpu_seconds_total", stat->cpu_seconds);
    samples.Add("process_threads", static_cast<double>(stat->threads));
    samples.Add("process_resident_memory_bytes",
                static_cast<double>(stat->resident_pages) *
                    static_cast<double>(sysconf(_SC_PAGESIZE)));
    if (const std::optional<double> boot = BootTime(); boot.has_value()) {
      samples.Add("process_start_time_seconds", *boot + stat->start_seconds);
    }
  }
  samples.Add("process_open_fds", static_cast<double>(OpenFds()));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    samples.Add("process_max_fds", static_cast<double>(limit.rlim_cur));
  }
}

void AddHost(metrics::Samples& samples) {
  if (const std::optional<double> boot = BootTime(); boot.has_value()) {
    samples.Add("bulwark_node_boot_time_seconds", *boot);
  }
  for (const char* resource : {"cpu", "memory", "io"}) {
    const auto stalled =
        ParsePressure(Read(absl::StrCat("/proc/pressure/", resource).c_str()));
    if (!stalled.has_value()) continue;
    samples.Add("bulwark_node_pressure_stalled_seconds_total", {resource},
                absl::ToDoubleSeconds(*stalled));
  }
}

}  // namespace bulwark::daemon
