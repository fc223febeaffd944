#include "scheduler/autoscale/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/util/message_differencer.h"
#include "scheduler/autoscale/limits.h"
#include "scheduler/autoscale/measure.h"
#include "scheduler/autoscale/settings.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr char kAble[] = "AbleToScale";
constexpr char kActive[] = "ScalingActive";
constexpr char kLimited[] = "ScalingLimited";

// A decision on its way from what the metrics ask for to what is done.
struct Decision {
  int current = 0;
  int count = 0;
  bool known = true;  // a count was recommended
  // What held it, last: a word and a sentence; empty if nothing did.
  std::string hold, hold_sentence;
  std::string limit, limit_sentence;
};

void Set(v1::Scale& scale, const char* type, bool holds,
         const std::string& reason, const std::string& message,
         absl::Time now) {
  v1::Condition condition;
  condition.set_type(type);
  condition.set_status(holds ? v1::Condition::TRUE : v1::Condition::FALSE);
  condition.set_reason(reason);
  condition.set_message(message);
  SetCondition(*scale.mutable_conditions(), std::move(condition), now);
}

std::string DescribeAll(const v1::Scale& scale) {
  return absl::StrJoin(scale.metrics(), ", ",
                       [](std::string* out, const v1::MetricSample& sample) {
                         absl::StrAppend(out, Describe(sample));
                       });
}

// Rule 2: fills the scale's metrics and `recommended`.
bool AskMetrics(const AutoscaleView& view, const AutoscaleSettings& settings,
                Decision& d, v1::Scale& scale) {
  int largest = 0, known = 0;
  scale.clear_metrics();
  for (const v1::AutoscaleMetric& m :
       view.service.spec().autoscale().metrics()) {
    v1::MetricSample& sample = *scale.add_metrics();
    sample = Evaluate(view, m, d.current, settings.tolerance);
    if (!sample.error().empty()) continue;
    ++known;
    largest = std::max(largest, sample.recommended());
  }
  // Without one of them, nobody knows that fewer are enough.
  d.known =
      known > 0 && (known == scale.metrics_size() || largest >= d.current);
  scale.set_recommended(d.known ? largest : d.current);
  Set(scale, kActive, d.known, d.known ? "ValidMetricFound" : "FailedGetMetric",
      d.known ? DescribeAll(scale)
              : absl::StrCat(DescribeAll(scale),
                             known > 0 ? ": not scaled down meanwhile"
                                       : ": not scaled meanwhile"),
      view.now);
  return d.known;
}

// Rule 3, the windows.
void HoldByWindow(const AutoscaleSettings& settings, absl::Time now,
                  Decision& d, v1::Scale& scale) {
  Remember(scale.recommended(), settings, now,
           *scale.mutable_recommendations());
  d.count = Stabilize(scale.recommendations(), settings, d.current, now);
  if (d.count == scale.recommended()) return;
  const bool down = scale.recommended() < d.count;
  d.hold = down ? "ScaleDownStabilized" : "ScaleUpStabilized";
  d.hold_sentence = absl::StrCat(
      down ? "more" : "fewer", " were wanted within the last ",
      absl::FormatDuration(down ? settings.down.window : settings.up.window));
}

// Rule 3, the policies, bounds and capacity. `bound` is what may be reached.
void Limit(int bound, bool upwards, const std::string& reason,
           const std::string& sentence, Decision& d) {
  if (upwards ? d.count <= bound : d.count >= bound) return;
  d.count = bound;
  d.limit = reason;
  d.limit_sentence = sentence;
}

void LimitUp(const AutoscaleView& view, const AutoscaleSettings& settings,
             const v1::Scale& scale, Decision& d) {
  Limit(UpLimit(scale.changes(), settings, d.current, view.now), true,
        "ScaleUpLimit", Describe(settings.up), d);
  Limit(settings.max, true, "TooManyReplicas",
        absl::StrCat("maxReplicas is ", settings.max), d);
  const int fit = std::max({view.capacity.replicas, d.current, settings.min});
  Limit(fit, true, "NodeCapacity", view.capacity.reason, d);
}

void LimitDown(const AutoscaleView& view, const AutoscaleSettings& settings,
               const v1::Scale& scale, Decision& d) {
  Limit(DownLimit(scale.changes(), settings, d.current, view.now), false,
        "ScaleDownLimit", Describe(settings.down), d);
  Limit(settings.min, false, "TooFewReplicas",
        absl::StrCat("minReplicas is ", settings.min), d);
}

// What is wanted by the metrics may be out of the bounds, and no change at all.
void LimitStill(const AutoscaleSettings& settings, const v1::Scale& scale,
                Decision& d) {
  if (scale.recommended() > settings.max && d.count == settings.max) {
    d.limit = "TooManyReplicas";
    d.limit_sentence = absl::StrCat("maxReplicas is ", settings.max);
  } else if (scale.recommended() < settings.min && d.count == settings.min) {
    d.limit = "TooFewReplicas";
    d.limit_sentence = absl::StrCat("minReplicas is ", settings.min);
  }
}

void Conclude(const Decision& d, absl::Time now, v1::Scale& scale) {
  const int wanted = scale.recommended();
  std::string text = absl::StrCat("wanted ", wanted);
  if (d.count != wanted) absl::StrAppend(&text, ", got ", d.count);
  const std::string& why = d.limit.empty() ? d.hold_sentence : d.limit_sentence;
  if (d.count != wanted && !why.empty()) {
    absl::StrAppend(&text, ", because ", why);
  }
  absl::StrAppend(&text, ": ", DescribeAll(scale), " with ", d.current,
                  d.current == 1 ? " replica" : " replicas");
  scale.set_message(text);
  if (d.count != d.current) {
    Set(scale, kAble, true, "SucceededRescale",
        absl::StrCat("from ", d.current, " to ", d.count), now);
  } else if (!d.hold.empty()) {
    Set(scale, kAble, true, d.hold, d.hold_sentence, now);
  } else {
    Set(scale, kAble, true, "ReadyForNewScale",
        "it follows the metrics at once", now);
  }
  if (d.limit.empty()) {
    Set(scale, kLimited, false, "DesiredWithinRange",
        "what the metrics ask for is within all bounds", now);
  } else {
    Set(scale, kLimited, true, d.limit,
        absl::StrCat("wanted ", wanted, ", got ", d.count, ", because ",
                     d.limit_sentence),
        now);
  }
}

void Follow(const AutoscaleView& view, const AutoscaleSettings& settings,
            Decision& d, v1::Scale& scale) {
  if (!AskMetrics(view, settings, d, scale)) {
    scale.set_message(
        absl::StrCat("stays at ", d.current, ": ", DescribeAll(scale)));
    Set(scale, kAble, true, "ReadyForNewScale", "it waits for its metrics",
        view.now);
    return;
  }
  HoldByWindow(settings, view.now, d, scale);
  if (d.count > d.current) {
    LimitUp(view, settings, scale, d);
  } else if (d.count < d.current) {
    LimitDown(view, settings, scale, d);
  } else {
    LimitStill(settings, scale, d);
  }
  Conclude(d, view.now, scale);
}

// Rule 1.
void BringWithinBounds(const AutoscaleSettings& settings, absl::Time now,
                       Decision& d, v1::Scale& scale) {
  d.count = std::clamp(d.current, settings.min, settings.max);
  const bool above = d.current > settings.max;
  const std::string why = above ? absl::StrCat("maxReplicas is ", settings.max)
                                : absl::StrCat("minReplicas is ", settings.min);
  scale.set_recommended(d.count);
  scale.set_message(absl::StrCat("got ", d.count, ", because ", why));
  Set(scale, kAble, true, "SucceededRescale",
      absl::StrCat("from ", d.current, " to ", d.count), now);
  Set(scale, kLimited, true, above ? "TooManyReplicas" : "TooFewReplicas", why,
      now);
}

v1::Scale FirstScale(const AutoscaleView& view) {
  v1::Scale scale;
  scale.set_service_uid(view.service.metadata().uid());
  scale.set_replicas(FirstCount(view.service.spec()));
  scale.set_recommended(scale.replicas());
  Remember(scale.replicas(),
           AutoscaleSettingsOf(view.service.spec().autoscale()), view.now,
           *scale.mutable_recommendations());
  return scale;
}

// The record without what may be a little old.
v1::Scale Essence(v1::Scale scale) {
  scale.clear_metadata();
  scale.clear_message();
  scale.clear_metrics();
  scale.clear_recommended();
  for (v1::Condition& c : *scale.mutable_conditions()) c.clear_message();
  return scale;
}

absl::Time MeasuredAt(const v1::Scale& scale) {
  return scale.metrics().empty() ? absl::InfinitePast()
                                 : ToTime(scale.metrics(0).time());
}

// The same but for the times of the samples.
bool SaysTheSame(v1::Scale a, v1::Scale b) {
  for (v1::Scale* scale : {&a, &b}) {
    for (v1::MetricSample& m : *scale->mutable_metrics()) m.clear_time();
  }
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

ScaleWrite WriteOf(const AutoscaleView& view, const v1::Scale& after) {
  if (!view.scale.has_value()) return ScaleWrite::kDurable;
  const v1::Scale& before = *view.scale;
  if (before.replicas() != after.replicas()) return ScaleWrite::kDurable;
  if (!google::protobuf::util::MessageDifferencer::Equals(Essence(before),
                                                          Essence(after))) {
    return ScaleWrite::kSoft;
  }
  const absl::Time written = MeasuredAt(before);
  const bool old =
      written + kScaleRefresh <= view.now || written > view.now;  // clock back
  return old && !SaysTheSame(before, after) ? ScaleWrite::kSoft
                                            : ScaleWrite::kNone;
}

// What a person would want to have been told.
void AddEvents(const AutoscaleView& view, const Decision& d, ScalePlan& plan) {
  if (d.count != d.current) {
    plan.events.push_back(
        {"Rescaled", absl::StrCat("from ", d.current, " to ", d.count, ": ",
                                  plan.scale.message())});
  }
  const v1::Scale before = view.scale.value_or(v1::Scale());
  const auto reason = [](const v1::Scale& scale, const char* type) {
    const v1::Condition* c = FindCondition(scale.conditions(), type);
    return c == nullptr ? std::string() : c->reason();
  };
  for (const auto& [type, word] : {std::pair(kActive, "FailedGetMetric"),
                                   std::pair(kLimited, "NodeCapacity")}) {
    // Without a value at the very start all is well.
    if (!view.scale.has_value() || reason(before, type).empty()) continue;
    if (reason(plan.scale, type) != word || reason(before, type) == word) {
      continue;
    }
    plan.events.push_back({word, plan.scale.message(), v1::Event::WARNING});
  }
}

}  // namespace

int FirstCount(const v1::ServiceSpec& spec) {
  const AutoscaleSettings s = AutoscaleSettingsOf(spec.autoscale());
  return std::clamp(spec.has_replicas() ? spec.replicas() : 1, s.min, s.max);
}

ScalePlan PlanScale(const AutoscaleView& view) {
  ScalePlan plan;
  const AutoscaleSettings settings =
      AutoscaleSettingsOf(view.service.spec().autoscale());
  v1::Scale& scale = plan.scale;
  scale = view.scale.has_value() ? *view.scale : FirstScale(view);
  Decision d;
  d.current = d.count = scale.replicas();
  if (view.service.spec().stopped()) {
    scale.set_message("stays as it is: the service is stopped");
    Set(scale, kActive, false, "Stopped", "the service is stopped", view.now);
  } else if (d.current < settings.min || d.current > settings.max) {
    BringWithinBounds(settings, view.now, d, scale);
  } else {
    Follow(view, settings, d, scale);
  }
  if (d.count != d.current) {
    scale.set_replicas(d.count);
    AddChange(d.count - d.current, settings, view.now,
              *scale.mutable_changes());
    SetTime(scale.mutable_last_scale_time(), view.now);
  }
  plan.write = WriteOf(view, scale);
  AddEvents(view, d, plan);
  return plan;
}

}  // namespace bulwark::scheduler
