// What Prometheus is told.
#include <sys/utsname.h>

#include <memory>

#include "daemon/daemon.h"

namespace bulwark::daemon {

void Daemon::StartMetrics() {
  if (config_.metrics_listen.empty()) return;
  utsname kernel{};
  uname(&kernel);
  collector_ = std::make_unique<Collector>(
      MetricSources{*store_, *usage_, *images_, *exchange_, *server_,
                    [this] { return scheduler_->GetStats(); },
                    [this] { return !scheduler_->degraded().empty(); },
                    [this] { return vault_->Status().sealed; },
                    config_.program_version, kernel.release,
                    config_.state_dir + "/store"},
      clock_);
  collector_->Start();
  metrics_ = std::make_unique<metrics::Server>(
      config_.metrics_listen, clock_, [this] { return collector_->Collect(); });
  metrics_->Start();
}

}  // namespace bulwark::daemon
