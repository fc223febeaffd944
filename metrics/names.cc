#include "metrics/names.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bulwark::metrics {
namespace {

constexpr char kIntroduction[] =
    "# Metrics\n"
    "\n"
    "Printed by `bazel run //metrics:reference`; the table is "
    "`metrics/series_*.h`.\n"
    "\n"
    "`bulwarkd --metrics-listen ADDRESS:PORT[,…]` (default 127.0.0.1:9464; "
    "empty: off)\n"
    "serves them at `/metrics`, to whoever can connect: bind other addresses "
    "than\n"
    "loopback only where that may be anybody. An address that cannot be bound "
    "keeps\n"
    "the daemon from nothing: it warns and tries again. While the daemon is "
    "down\n"
    "Prometheus' own `up` is 0. Dashboards, alerts and consoles: "
    "[dashboards/](../dashboards/).\n"
    "\n"
    "A label without a value is left out: a job's replica has `job_name`, a "
    "service's\n"
    "has `service`. Series of what is gone vanish. Counters begin again at 0 "
    "with the\n"
    "process that counts: the daemon, for `bulwark_proxy_*` the proxy, for a "
    "container\n"
    "the container.\n";

absl::string_view TypeName(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "";
}

// "bulwark_service_replicas" -> "service"
absl::string_view GroupOf(absl::string_view name) {
  const std::pair<absl::string_view, absl::string_view> words =
      absl::StrSplit(name, absl::MaxSplits('_', 1));
  if (words.first != "bulwark") return words.first;
  return words.second.substr(0, words.second.find('_'));
}

}  // namespace

void SeriesName::NoSuchSeries() { std::abort(); }

std::string Reference() {
  std::string out = kIntroduction;
  absl::string_view group;
  for (size_t i = 0; i < kSeriesCount; ++i) {
    const Series& s = SeriesAt(i);
    if (GroupOf(s.name) != group) {
      group = GroupOf(s.name);
      absl::StrAppend(&out, "\n## ", group,
                      "\n\n| series | type | labels | what |\n"
                      "|---|---|---|---|\n");
    }
    absl::StrAppend(
        &out, "| `", s.name, "` | ", TypeName(s.type), " | ",
        absl::StrJoin(absl::StrSplit(s.labels, ',', absl::SkipEmpty()), ", "),
        " | ", s.help, " |\n");
  }
  return out;
}

}  // namespace bulwark::metrics
