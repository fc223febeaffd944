// A real Prometheus beside the daemon under test.
#ifndef TESTS_E2E_PROMETHEUS_H_
#define TESTS_E2E_PROMETHEUS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/e2e/process.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Scrapes the daemon every second, with the alert rules and console templates
// of dashboards/. Ends with the object.
class Prometheus {
 public:
  static constexpr int kPort = 9490;
  static constexpr int kTargetPort = 9464;  // the daemon's default

  // Answers when it returns.
  explicit Prometheus(const World& world);

  // Value by labels, written as JSON.
  using Values = std::map<std::string, double>;

  // What an expression is now. INVALID_ARGUMENT with Prometheus' own words if
  // it is none.
  absl::StatusOr<Values> Query(const std::string& expression);
  // What it was in each second since `begin` in which it had an answer.
  absl::StatusOr<std::vector<Values>> History(const std::string& expression,
                                              absl::Time begin);
  // The body of GET `path`, "" if it is not 200.
  std::string Get(const std::string& path);

  std::string Log() const { return ReadFile(log_); }

 private:
  const std::string log_;
  std::unique_ptr<Background> process_;
};

// Of those that are numbers.
double Sum(const Prometheus::Values& values);

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_PROMETHEUS_H_
