#include "api/validate_autoscale.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validation.h"

namespace bulwark::api {
namespace {

using v1::Autoscale;
using v1::AutoscaleMetric;
using v1::ScalingPolicy;
using v1::ScalingRules;
using v1::ServiceSpec;

constexpr char kPath[] = "spec.autoscale";
constexpr absl::Duration kMaxWindow = absl::Hours(1);
constexpr absl::Duration kMaxPeriod = absl::Minutes(30);
constexpr int kMaxPolicies = 10;

const Rule<Autoscale> kAutoscaleRules[] = {
    {"minReplicas",
     [](const Autoscale& a) {
       return a.max_replicas() == 0 || a.min_replicas() <= a.max_replicas();
     },
     "is above maxReplicas", "swap the two bounds"},
    {"maxReplicas",
     [](const Autoscale& a) { return a.max_replicas() <= kMaxReplicas; },
     "is above 1000", "declare several services"},
    {"metrics", [](const Autoscale& a) { return !a.metrics().empty(); },
     "is missing: there is nothing to scale by",
     "give at least one, e.g. metrics: [{cpu: 70%}]"},
    {"tolerance", [](const Autoscale& a) { return a.tolerance() <= 100; },
     "is above 100%", "use a smaller one; the default is 10%"},
};

const Rule<AutoscaleMetric> kMetricRules[] = {
    {"",
     [](const AutoscaleMetric& m) {
       return (m.cpu() != 0) + (m.memory() != 0) + (m.connections() != 0) == 1;
     },
     "needs exactly one of cpu, memory, connections", "write one metric each"},
};

const Rule<ScalingRules> kScalingRules[] = {
    {"stabilizationWindow",
     [](const ScalingRules& r) {
       return ToDuration(r.stabilization_window()) <= kMaxWindow;
     },
     "is above 1h", "use a shorter window"},
    {"policies",
     [](const ScalingRules& r) { return r.policies_size() <= kMaxPolicies; },
     "has more than 10 entries", "leave the ones out that never decide"},
};

const Rule<ScalingPolicy> kPolicyRules[] = {
    {"",
     [](const ScalingPolicy& p) {
       return (p.replicas() != 0) + (p.percent() != 0) == 1;
     },
     "needs exactly one of replicas, percent, above 0",
     "write two policies, and select: max or min"},
    {"period",
     [](const ScalingPolicy& p) {
       return !p.has_period() || ToDuration(p.period()) > absl::ZeroDuration();
     },
     "is 0", "use at least 1s, or leave it out: 15s"},
    {"period",
     [](const ScalingPolicy& p) {
       return ToDuration(p.period()) <= kMaxPeriod;
     },
     "is above 30m", "use a shorter one"},
};

void ValidateDirection(const ScalingRules& rules, absl::string_view name,
                       Report& report) {
  const std::string path = absl::StrCat(kPath, ".", name);
  CheckRules<ScalingRules>(rules, kScalingRules, path, report);
  for (int i = 0; i < rules.policies_size(); ++i) {
    CheckRules<ScalingPolicy>(rules.policies(i), kPolicyRules,
                              absl::StrCat(path, ".policies[", i, "]"), report);
  }
}

// A share needs a whole.
template <typename Containers>
void NeedRequests(const Containers& containers, absl::string_view field,
                  bool cpu, const std::string& metric, Report& report) {
  for (int i = 0; i < containers.size(); ++i) {
    const v1::ResourceLimits& r = containers[i].resources();
    const int64_t whole = cpu ? r.cpu().request() + r.cpu().limit()
                              : r.memory().request() + r.memory().limit();
    if (whole > 0) continue;
    const char* resource = cpu ? "cpu" : "memory";
    report.Invalid(
        metric,
        absl::StrCat("is a share of what the containers request, and spec.",
                     field, "[", containers[i].name(), "] has neither a ",
                     resource, " request nor a limit"),
        absl::StrCat("give it one, e.g. resources: {", resource, ": ",
                     cpu ? "250m" : "128Mi", "}"));
  }
}

void ValidateMetric(const ServiceSpec& spec, int i, Report& report) {
  const AutoscaleMetric& metric = spec.autoscale().metrics(i);
  const std::string path = absl::StrCat(kPath, ".metrics[", i, "]");
  CheckRules<AutoscaleMetric>(metric, kMetricRules, path, report);
  for (const bool cpu : {true, false}) {
    if ((cpu ? metric.cpu() : metric.memory()) == 0) continue;
    const std::string name = path + (cpu ? ".cpu" : ".memory");
    NeedRequests(spec.containers(), "containers", cpu, name, report);
    NeedRequests(spec.sidecars(), "sidecars", cpu, name, report);
  }
  if (metric.connections() != 0 && spec.ports().empty()) {
    report.Invalid(path + ".connections",
                   "counts connections through the proxy, and the service has "
                   "no port",
                   "give it ports, or scale by cpu or memory");
  }
}

}  // namespace

void ValidateAutoscale(const ServiceSpec& spec, Report& report) {
  if (!spec.has_autoscale()) return;
  const Autoscale& autoscale = spec.autoscale();
  CheckRules<Autoscale>(autoscale, kAutoscaleRules, kPath, report);
  std::set<int> kinds;
  for (int i = 0; i < autoscale.metrics_size(); ++i) {
    ValidateMetric(spec, i, report);
    const AutoscaleMetric& m = autoscale.metrics(i);
    const int kind = m.cpu() != 0 ? 1 : m.memory() != 0 ? 2 : 3;
    if (!kinds.insert(kind).second) {
      report.Invalid(absl::StrCat(kPath, ".metrics[", i, "]"),
                     "is of a kind that is given twice",
                     "keep the one with the lower target: the larger count "
                     "wins anyway");
    }
  }
  ValidateDirection(autoscale.scale_up(), "scaleUp", report);
  ValidateDirection(autoscale.scale_down(), "scaleDown", report);
}

}  // namespace bulwark::api
