// The samples of one scrape.
#ifndef METRICS_SAMPLES_H_
#define METRICS_SAMPLES_H_

#include <prometheus/metric_family.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/histogram.h"
#include "metrics/names.h"

namespace bulwark::metrics {

// Thread-compatible.
class Samples {
 public:
  using Labels = std::initializer_list<absl::string_view>;

  Samples();

  // Adds a sample of a counter or gauge. `labels` has a value for each label
  // of the series, in its order; empty ones are left out. Values are names of
  // ours or of declared objects, never free text. The same labels twice are a
  // bug of the caller's.
  void Add(SeriesName series, Labels labels, double value);
  void Add(SeriesName series, double value) { Add(series, {}, value); }
  void Add(SeriesName series, Labels labels, const Histogram::Snapshot& value);

  // The families that have samples, in the table's order.
  std::vector<prometheus::MetricFamily> Take() &&;

 private:
  prometheus::ClientMetric& New(SeriesName series, Labels labels);

  // By index of the series.
  std::vector<prometheus::MetricFamily> families_;
  std::vector<std::vector<std::string>> labels_;
};

}  // namespace bulwark::metrics

#endif  // METRICS_SAMPLES_H_
