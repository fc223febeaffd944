// What /proc and the file system say, as samples.
#ifndef DAEMON_METRICS_HOST_H_
#define DAEMON_METRICS_HOST_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "metrics/samples.h"

namespace bulwark::daemon {

// Of this process, under the names that every Prometheus client uses. What
// cannot be read is left out.
void AddProcess(metrics::Samples& samples);

// When the host was booted, and its pressure; the latter is left out where the
// kernel does not count it.
void AddHost(metrics::Samples& samples);

// The total of the line "some" of /proc/pressure/NAME.
std::optional<absl::Duration> ParsePressure(absl::string_view text);

struct ProcessStat {
  double cpu_seconds = 0;
  int64_t threads = 0;
  double start_seconds = 0;  // since boot
  int64_t resident_pages = 0;
};
// /proc/PID/stat.
std::optional<ProcessStat> ParseProcessStat(absl::string_view text,
                                            double ticks_per_second);

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_HOST_H_
