// What tests of samples read.
#ifndef DAEMON_METRICS_TESTING_H_
#define DAEMON_METRICS_TESTING_H_

#include <prometheus/text_serializer.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "metrics/samples.h"

namespace bulwark::daemon {

// By series with its labels, as they are written: `a_total{b="c"}` -> 1.
inline std::map<std::string, double> Values(metrics::Samples samples) {
  std::stringstream text;
  prometheus::TextSerializer().Serialize(text, std::move(samples).Take());
  std::map<std::string, double> values;
  std::string line;
  while (std::getline(text, line)) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    values[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return values;
}

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_TESTING_H_
