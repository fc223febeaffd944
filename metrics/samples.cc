#include "metrics/samples.h"

#include <limits>
#include <utility>

#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::metrics {
namespace {

prometheus::MetricType TypeOf(Type type) {
  switch (type) {
    case Type::kCounter:
      return prometheus::MetricType::Counter;
    case Type::kGauge:
      return prometheus::MetricType::Gauge;
    case Type::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

Samples::Samples() : families_(kSeriesCount), labels_(kSeriesCount) {
  for (size_t i = 0; i < kSeriesCount; ++i) {
    labels_[i] = absl::StrSplit(SeriesAt(i).labels, ',', absl::SkipEmpty());
    families_[i].type = TypeOf(SeriesAt(i).type);
  }
}

prometheus::ClientMetric& Samples::New(SeriesName series, Labels labels) {
  const std::vector<std::string>& names = labels_[series.index()];
  CHECK(names.size() == labels.size());
  prometheus::ClientMetric& metric =
      families_[series.index()].metric.emplace_back();
  metric.label.reserve(names.size());
  auto name = names.begin();
  for (const absl::string_view value : labels) {
    if (!value.empty()) metric.label.push_back({*name, std::string(value)});
    ++name;
  }
  return metric;
}

void Samples::Add(SeriesName series, Labels labels, double value) {
  const Type type = SeriesAt(series.index()).type;
  CHECK(type != Type::kHistogram);
  prometheus::ClientMetric& metric = New(series, labels);
  if (type == Type::kCounter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

void Samples::Add(SeriesName series, Labels labels,
                  const Histogram::Snapshot& value) {
  CHECK(SeriesAt(series.index()).type == Type::kHistogram);
  prometheus::ClientMetric::Histogram& histogram =
      New(series, labels).histogram;
  histogram.sample_count = value.counts.back();
  histogram.sample_sum = value.sum;
  for (size_t i = 0; i < value.counts.size(); ++i) {
    histogram.bucket.push_back(
        {value.counts[i], i < value.bounds.size()
                              ? value.bounds[i]
                              : std::numeric_limits<double>::infinity()});
  }
}

std::vector<prometheus::MetricFamily> Samples::Take() && {
  std::vector<prometheus::MetricFamily> out;
  for (size_t i = 0; i < kSeriesCount; ++i) {
    if (families_[i].metric.empty()) continue;
    families_[i].name = std::string(SeriesAt(i).name);
    families_[i].help = std::string(SeriesAt(i).help);
    out.push_back(std::move(families_[i]));
  }
  return out;
}

}  // namespace bulwark::metrics
