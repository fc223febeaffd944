#include "tests/e2e/traffic.h"

#include "base/check.h"
#include "tests/load/kill.h"

namespace bulwark::e2e {

Traffic::Traffic(int port, std::vector<load::Mode> modes)
    : reports_(modes.size()) {
  for (size_t i = 0; i < modes.size(); ++i) {
    load::LoadOptions options;
    options.port = port;
    options.mode = modes[i];
    options.connections = kConnections;
    options.duration = absl::Minutes(10);
    // Enough to meet every moment, little enough to leave the two processors
    // of a small machine to what is tested.
    options.rate = 400;
    options.timeout = absl::Seconds(20);
    options.stop = &stop_;
    threads_.emplace_back([this, options, i] {
      absl::StatusOr<load::LoadReport> report = load::RunLoad(options, clock_);
      CHECK(report.ok());
      reports_[i] = *std::move(report);
    });
  }
}

Traffic::~Traffic() { Finish(); }

void Traffic::Kill(pid_t pid, const std::string& backend) {
  kills_.push_back(load::KillProcess(pid, backend, clock_));
}

std::vector<load::LoadReport> Traffic::Finish() {
  stop_ = true;
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  std::vector<load::LoadReport> reports;
  for (load::LoadReport& report : reports_) {
    load::ForgiveKilled(report, kills_);
    reports.push_back(report);
  }
  return reports;
}

}  // namespace bulwark::e2e
