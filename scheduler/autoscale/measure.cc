#include "scheduler/autoscale/measure.h"

#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// The sum over all containers that serve; nothing if one of them is missing.
template <typename Value>
std::optional<double> Sum(const v1::ServiceSpec& spec,
                          const std::map<std::string, Value>& values) {
  double sum = 0;
  for (const auto* containers : {&spec.containers(), &spec.sidecars()}) {
    for (const v1::Container& c : *containers) {
      const auto it = values.find(c.name());
      if (it == values.end()) return std::nullopt;
      sum += static_cast<double>(it->second);
    }
  }
  return sum;
}

// In the unit of the target; nothing if it is not known.
std::optional<double> ValueOf(const v1::ServiceSpec& spec,
                              const v1::AutoscaleMetric& metric,
                              const ReplicaLoad& load) {
  if (metric.connections() > 0) return load.connections;
  const Requests requests = RequestsOf(spec);
  const bool cpu = metric.cpu() > 0;
  const int64_t request = cpu ? requests.cpu_millicores : requests.memory_bytes;
  const std::optional<double> used =
      cpu ? Sum(spec, load.cpu_millicores) : Sum(spec, load.memory_bytes);
  if (!used.has_value() || request <= 0) return std::nullopt;
  return *used / static_cast<double>(request) * 100;
}

// Whether what a running replica uses of the processor says nothing of the
// work that it does.
bool IsInitializing(const AutoscaleView& view, const v1::Replica& replica,
                    const ReplicaLoad& load) {
  const v1::ReplicaStatus& status = replica.status();
  if (ToTime(status.start_time()) + kCpuInitialization > view.now) {
    return !status.ready() ||
           load.time < ToTime(status.ready_time()) + load.window;
  }
  return !status.ready() && !view.were_ready.contains(replica.metadata().uid());
}

double TargetOf(const v1::AutoscaleMetric& metric) {
  if (metric.connections() > 0)
    return static_cast<double>(metric.connections());
  return metric.cpu() > 0 ? metric.cpu() : metric.memory();
}

}  // namespace

std::string NameOf(const v1::AutoscaleMetric& metric) {
  if (metric.connections() > 0) return "connections";
  return metric.cpu() > 0 ? "cpu" : "memory";
}

Measurements Measure(const AutoscaleView& view,
                     const v1::AutoscaleMetric& metric) {
  Measurements m;
  m.target = TargetOf(metric);
  for (const v1::Replica& r : view.replicas) {
    if (HasEnded(r) || r.spec().goal() == v1::ReplicaSpec::STOP) continue;
    if (r.status().state() != v1::ReplicaStatus::RUNNING) {
      ++m.unready;
      continue;
    }
    const auto load = view.loads.find(r.metadata().uid());
    std::optional<double> value;
    if (load != view.loads.end()) {
      value = ValueOf(view.service.spec(), metric, load->second);
    }
    if (!value.has_value()) {
      ++m.missing;
    } else if (metric.cpu() > 0 && IsInitializing(view, r, load->second)) {
      ++m.unready;
    } else {
      m.values.push_back(*value);
    }
  }
  return m;
}

v1::MetricSample Evaluate(const AutoscaleView& view,
                          const v1::AutoscaleMetric& metric, int current,
                          double tolerance) {
  const Measurements measured = Measure(view, metric);
  v1::MetricSample sample;
  sample.set_name(NameOf(metric));
  sample.set_target(measured.target);
  sample.set_missing(measured.missing);
  sample.set_unready(measured.unready);
  SetTime(sample.mutable_time(), view.now);
  const std::optional<Recommendation> wanted =
      Recommend(measured, current, tolerance);
  if (wanted.has_value()) {
    // More digits would only be noise, and writes.
    sample.set_value(std::round(wanted->value * 10) / 10);
    sample.set_recommended(wanted->replicas);
  } else if (measured.missing > 0) {
    sample.set_error("no replica has been measured long enough");
  } else if (measured.unready > 0) {
    sample.set_error("no replica was ready yet when it was measured");
  } else {
    sample.set_error("no replica runs");
  }
  return sample;
}

std::string Describe(const v1::MetricSample& sample) {
  if (!sample.error().empty()) {
    return absl::StrCat(sample.name(), " is not known (", sample.error(), ")");
  }
  const char* unit = sample.name() == "connections" ? "" : "%";
  std::string text =
      absl::StrFormat("%s is %g%s of %g%s", sample.name(), sample.value(), unit,
                      sample.target(), unit);
  if (sample.missing() > 0) {
    absl::StrAppend(&text, " (", sample.missing(), " not measured)");
  }
  if (sample.unready() > 0) {
    absl::StrAppend(&text, " (", sample.unready(), " not ready)");
  }
  return text;
}

}  // namespace bulwark::scheduler
