// Every series that the daemon exposes: the reference. docs/metrics.md is
// printed from it, and nothing that it lacks can be exposed.
#ifndef METRICS_NAMES_H_
#define METRICS_NAMES_H_

#include <cstddef>
#include <iterator>
#include <string>

#include "absl/strings/string_view.h"
#include "metrics/series.h"
#include "metrics/series_objects.h"
#include "metrics/series_system.h"

namespace bulwark::metrics {

inline constexpr size_t kSeriesCount =
    std::size(kObjectSeries) + std::size(kSystemSeries);

constexpr const Series& SeriesAt(size_t index) {
  return index < std::size(kObjectSeries)
             ? kObjectSeries[index]
             : kSystemSeries[index - std::size(kObjectSeries)];
}

// A series by its name. A name that the table lacks does not compile.
class SeriesName {
 public:
  consteval SeriesName(const char* name)  // NOLINT: reads as a literal
      : index_(Find(name)) {}
  constexpr size_t index() const { return index_; }

 private:
  static void NoSuchSeries();  // not constant: ends the compilation
  static constexpr size_t Find(absl::string_view name) {
    for (size_t i = 0; i < kSeriesCount; ++i) {
      if (SeriesAt(i).name == name) return i;
    }
    NoSuchSeries();
    return kSeriesCount;
  }

  size_t index_;
};

// docs/metrics.md.
std::string Reference();

}  // namespace bulwark::metrics

#endif  // METRICS_NAMES_H_
