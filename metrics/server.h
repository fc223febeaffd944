// Serves the metrics to Prometheus.
#ifndef METRICS_SERVER_H_
#define METRICS_SERVER_H_

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"

namespace bulwark::metrics {

// Answers GET /metrics on its addresses, to whoever can connect. Thread-safe;
// Start() and Stop() once each.
class Server {
 public:
  // Called for each scrape, from threads of the server, several at once. May
  // block for as long as a scrape may take.
  using Collect = std::function<std::vector<prometheus::MetricFamily>()>;

  // `addresses`: "127.0.0.1:9464,10.0.0.1:9464"; see CheckAddresses(). `clock`
  // outlives the server.
  Server(std::string addresses, Clock& clock, Collect collect);
  ~Server();  // stops

  // Binds. What cannot be bound is logged, and tried again every few seconds:
  // metrics are no reason not to run services.
  void Start();
  // When it returns no Collect runs any more. Blocks for those that run, and
  // for clients that have connected and not asked yet, 2 s at most.
  void Stop();

  // OK while all addresses are served; else which is not, and why.
  absl::Status status() const;

 private:
  void Loop();
  absl::Status Bind();
  void KnockUntilClosed();

  const std::string addresses_;
  Clock& clock_;
  const std::shared_ptr<prometheus::Collectable> collectable_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // Loop()'s until it ended

  mutable absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

// INVALID_ARGUMENT unless it is a list of IPv4 addresses with ports.
absl::Status CheckAddresses(const std::string& addresses);

}  // namespace bulwark::metrics

#endif  // METRICS_SERVER_H_
