// What the running parts count, as samples. Pure.
#ifndef DAEMON_METRICS_RUNTIME_H_
#define DAEMON_METRICS_RUNTIME_H_

#include <vector>

#include "api/call_stats.h"
#include "daemon/metrics/measured_exchange.h"
#include "daemon/metrics/measured_images.h"
#include "daemon/metrics/replica_labels.h"
#include "metrics/samples.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"
#include "scheduler/control/runner.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::daemon {

// Endpoints of replicas that are not in `names` are left out.
void AddProxy(const dataplane::v1::Stats& stats, const ReplicaNames& names,
              metrics::Samples& samples);
void AddControllers(const std::vector<scheduler::Runner::Stats>& controllers,
                    metrics::Samples& samples);
void AddStore(const store::RocksStore::Stats& stats, metrics::Samples& samples);
void AddCalls(const std::vector<api::CallStats::Method>& methods,
              metrics::Samples& samples);
void AddPulls(const MeasuredImages::Stats& stats, metrics::Samples& samples);
void AddPushes(const MeasuredExchange::Stats& stats, metrics::Samples& samples);

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_RUNTIME_H_
