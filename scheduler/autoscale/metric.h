// How many replicas one metric asks for: the replica calculator of the
// Kubernetes HorizontalPodAutoscaler v2 (pkg/controller/podautoscaler). Pure.
#ifndef SCHEDULER_AUTOSCALE_METRIC_H_
#define SCHEDULER_AUTOSCALE_METRIC_H_

#include <optional>
#include <string>
#include <vector>

namespace bulwark::scheduler {

// One metric of the replicas that should run, in the unit of its target.
struct Measurements {
  double target = 1;
  // Of the replicas that count.
  std::vector<double> values;
  // Replicas that start, or have not been ready: what they use says nothing.
  int unready = 0;
  // Replicas whose value is not known.
  int missing = 0;
};

struct Recommendation {
  // Mean of the values.
  double value = 0;
  int replicas = 0;
};

// Nothing if no replica has a value.
//
//   ratio = mean / target
//   within 1 ± tolerance: `current`, else ceil(ratio * number of values)
//
// If some are missing, they count as the target when the ratio is below 1, and
// as 0 when it is above; unready ones count as 0 when it is above, else not at
// all. What is then within the tolerance, or points the other way, is `current`
// too: a correction never reverses the direction.
//
// (Kubernetes' code takes 100 % of the request, not of the target, for what is
// missing, and whole percents; its documentation says what is done here.)
std::optional<Recommendation> Recommend(const Measurements& measured,
                                        int current, double tolerance);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_METRIC_H_
