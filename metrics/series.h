// What a row of the table of series says. See names.h.
#ifndef METRICS_SERIES_H_
#define METRICS_SERIES_H_

#include "absl/strings/string_view.h"

namespace bulwark::metrics {

enum class Type { kCounter, kGauge, kHistogram };

struct Series {
  // By Prometheus' conventions: base units, "_total" for counters.
  absl::string_view name;
  Type type;
  // Names, separated by commas. A label without a value is left out.
  absl::string_view labels;
  // A sentence for people.
  absl::string_view help;
};

}  // namespace bulwark::metrics

#endif  // METRICS_SERIES_H_
