#include "scheduler/autoscale/metric.h"

#include <cmath>
#include <numeric>

namespace bulwark::scheduler {
namespace {

// 0.1 + 1.0 is above 1.1, and 3 * (100.0 / 60) above 5.
constexpr double kFuzz = 1e-9;

bool IsWithin(double ratio, double tolerance) {
  return std::abs(1 - ratio) <= tolerance + kFuzz;
}

int CeilOf(double replicas) {
  return static_cast<int>(std::ceil(std::min(replicas, 1e6) - kFuzz));
}

// What `ratio` asks for, unless that is against the first ratio's direction.
int Wanted(double first_ratio, double ratio, size_t count, int current,
           double tolerance) {
  if (IsWithin(ratio, tolerance)) return current;
  if ((first_ratio < 1) != (ratio < 1)) return current;
  const int wanted = CeilOf(ratio * static_cast<double>(count));
  return (ratio < 1) == (wanted < current) ? wanted : current;
}

}  // namespace

std::optional<Recommendation> Recommend(const Measurements& measured,
                                        int current, double tolerance) {
  if (measured.values.empty()) return std::nullopt;
  const double sum =
      std::accumulate(measured.values.begin(), measured.values.end(), 0.0);
  size_t count = measured.values.size();
  Recommendation result;
  result.value = sum / static_cast<double>(count);
  const double ratio = result.value / measured.target;
  double corrected = sum;
  if (ratio < 1) corrected += measured.missing * measured.target;
  if (ratio != 1) count += static_cast<size_t>(measured.missing);
  if (ratio > 1) count += static_cast<size_t>(measured.unready);
  result.replicas =
      Wanted(ratio, corrected / static_cast<double>(count) / measured.target,
             count, current, tolerance);
  return result;
}

}  // namespace bulwark::scheduler
