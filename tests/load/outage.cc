#include "tests/load/outage.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "tests/load/kill.h"
#include "tests/load/load.h"

namespace bulwark::load {

absl::Duration KillAndAsk(pid_t pid, uint16_t port, Clock& clock) {
  const Kill kill = KillProcess(pid, /*backend=*/"", clock);
  LoadOptions options;
  options.port = port;
  options.connections = 1;
  options.answers_wanted = 1;
  options.duration = options.timeout = absl::Seconds(10);
  // How often it asks again, if a connection fails.
  options.rate = 1000;
  absl::StatusOr<LoadReport> report = RunLoad(options, clock);
  CHECK(report.ok());
  const absl::Duration passed = clock.Steady() - kill.at;
  return report->requests == 1 ? passed : absl::InfiniteDuration();
}

absl::Duration Outages::Median() const {
  std::vector<absl::Duration> sorted = each;
  std::sort(sorted.begin(), sorted.end());
  return sorted.empty() ? absl::ZeroDuration() : sorted[sorted.size() / 2];
}

absl::Duration Outages::Worst() const {
  return each.empty() ? absl::ZeroDuration()
                      : *std::max_element(each.begin(), each.end());
}

std::string Outages::ToString() const {
  std::string text =
      absl::StrFormat("median %.1f ms, worst %.1f ms, of %d:",
                      absl::ToDoubleMilliseconds(Median()),
                      absl::ToDoubleMilliseconds(Worst()), each.size());
  for (absl::Duration d : each) {
    absl::StrAppendFormat(&text, " %.1f", absl::ToDoubleMilliseconds(d));
  }
  return text;
}

}  // namespace bulwark::load
