// Everything that one scrape tells, put together.
#ifndef DAEMON_METRICS_COLLECTOR_H_
#define DAEMON_METRICS_COLLECTOR_H_

#include <prometheus/metric_family.h>

#include <functional>
#include <string>
#include <vector>

#include "api/server.h"
#include "daemon/metrics/lifecycle.h"
#include "daemon/metrics/measured_exchange.h"
#include "daemon/metrics/measured_images.h"
#include "daemon/metrics/replica_labels.h"
#include "metrics/samples.h"
#include "scheduler/control/runner.h"
#include "scheduler/usage/sampler.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::daemon {

// All of it outlives the collector.
struct MetricSources {
  store::RocksStore& store;
  scheduler::UsageSampler& usage;
  MeasuredImages& images;
  MeasuredExchange& exchange;
  const api::Server& server;
  // Of every controller with a queue.
  std::function<std::vector<scheduler::Runner::Stats>()> controllers;
  // Whether the daemon works with its hands tied.
  std::function<bool()> degraded;
  // Whether no secret can be opened.
  std::function<bool()> sealed;
  std::string version;
  std::string kernel;
  std::string store_dir;
};

// Thread-safe; Start() and Stop() once each.
class Collector {
 public:
  Collector(MetricSources sources, Clock& clock);

  // Begins to count what happens to services.
  void Start() { lifecycle_.Start(); }
  void Stop() { lifecycle_.Stop(); }

  // Reads all sources, one after the other; holds no lock meanwhile. A source
  // that fails costs its own series.
  std::vector<prometheus::MetricFamily> Collect();

 private:
  ReplicaNames AddObjects(metrics::Samples& samples);

  const MetricSources sources_;
  Lifecycle lifecycle_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_COLLECTOR_H_
