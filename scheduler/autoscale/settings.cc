#include "scheduler/autoscale/settings.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(15);
constexpr absl::Duration kDownWindow = absl::Seconds(300);

void Override(const v1::ScalingRules& given, ScaleRules& rules) {
  if (given.has_stabilization_window()) {
    rules.window = ToDuration(given.stabilization_window());
  }
  if (given.select() != v1::ScalingRules::SELECT_UNSPECIFIED) {
    rules.select = given.select();
  }
  if (given.policies().empty()) return;
  rules.policies.clear();
  for (const v1::ScalingPolicy& p : given.policies()) {
    ScalePolicy policy;
    policy.percent = p.percent() != 0;
    policy.value = policy.percent ? p.percent() : p.replicas();
    policy.period = p.has_period() ? ToDuration(p.period()) : kPeriod;
    rules.policies.push_back(policy);
  }
}

}  // namespace

AutoscaleSettings AutoscaleSettingsOf(const v1::Autoscale& autoscale) {
  AutoscaleSettings s;
  s.min = std::max(1, autoscale.min_replicas());
  s.max = std::max(s.min, autoscale.max_replicas());
  if (autoscale.has_tolerance()) s.tolerance = autoscale.tolerance() / 100.0;
  s.up.policies = {{true, 100, kPeriod}, {false, 4, kPeriod}};
  s.down.window = kDownWindow;
  s.down.policies = {{true, 100, kPeriod}};
  Override(autoscale.scale_up(), s.up);
  Override(autoscale.scale_down(), s.down);
  return s;
}

std::string Describe(const ScaleRules& rules) {
  if (rules.select == v1::ScalingRules::DISABLED) {
    return "this direction is switched off";
  }
  return absl::StrCat(
      "at most ",
      absl::StrJoin(rules.policies,
                    rules.select == v1::ScalingRules::MIN ? " and " : " or ",
                    [](std::string* out, const ScalePolicy& p) {
                      absl::StrAppend(out, p.value,
                                      p.percent      ? "%"
                                      : p.value == 1 ? " replica"
                                                     : " replicas",
                                      " in ", absl::FormatDuration(p.period));
                    }));
}

}  // namespace bulwark::scheduler
