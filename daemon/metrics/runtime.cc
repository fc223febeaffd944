#include "daemon/metrics/runtime.h"

#include <string>

#include "absl/strings/str_split.h"

namespace bulwark::daemon {
namespace {

namespace dp = ::bulwark::dataplane::v1;

double Number(uint64_t value) { return static_cast<double>(value); }

void AddEndpoint(const std::vector<std::string>& pool,
                 const dp::EndpointStats& e, const ReplicaLabels& of,
                 metrics::Samples& samples) {
  const auto add = [&](metrics::SeriesName series, double value) {
    samples.Add(series, {pool[0], pool[1], pool[2], of.replica}, value);
  };
  add("bulwark_proxy_endpoint_connections_active", Number(e.active()));
  add("bulwark_proxy_endpoint_connections_total",
      Number(e.connections_total()));
  add("bulwark_proxy_endpoint_connect_failures_total",
      Number(e.connect_failures_total()));
  add("bulwark_proxy_endpoint_connect_seconds_total",
      Number(e.connect_nanoseconds_total()) * 1e-9);
  add("bulwark_proxy_endpoint_receive_bytes_total", Number(e.bytes_in_total()));
  add("bulwark_proxy_endpoint_transmit_bytes_total",
      Number(e.bytes_out_total()));
  add("bulwark_proxy_endpoint_ejected", e.ejected());
}

}  // namespace

void AddProxy(const dp::Stats& stats, const ReplicaNames& names,
              metrics::Samples& samples) {
  samples.Add("bulwark_proxy_snapshot_version", Number(stats.version()));
  for (const dp::PoolStats& p : stats.pools()) {
    const std::vector<std::string> pool = absl::StrSplit(p.pool(), '/');
    if (pool.size() != 3) continue;  // PROJECT/SERVICE/PORT
    const auto add = [&](metrics::SeriesName series, uint64_t value) {
      samples.Add(series, {pool[0], pool[1], pool[2]}, Number(value));
    };
    add("bulwark_proxy_connections_accepted_total", p.accepted_total());
    add("bulwark_proxy_connections_held", p.held());
    add("bulwark_proxy_connections_held_total", p.held_total());
    add("bulwark_proxy_connections_failed_total", p.failed_total());
    add("bulwark_proxy_connections_retried_total", p.retried_total());
    for (const dp::EndpointStats& e : p.endpoints()) {
      auto of = names.find(e.id());
      if (of != names.end()) AddEndpoint(pool, e, of->second, samples);
    }
  }
}

void AddControllers(const std::vector<scheduler::Runner::Stats>& controllers,
                    metrics::Samples& samples) {
  for (const scheduler::Runner::Stats& c : controllers) {
    samples.Add("bulwark_controller_queue_ready", {c.name}, Number(c.ready));
    samples.Add("bulwark_controller_queue_delayed", {c.name},
                Number(c.delayed));
    samples.Add("bulwark_controller_workers_busy", {c.name},
                Number(c.busy_workers));
    samples.Add("bulwark_controller_reconcile_duration_seconds", {c.name},
                c.durations);
    samples.Add("bulwark_controller_reconcile_errors_total", {c.name},
                Number(c.failures));
    samples.Add("bulwark_controller_reconcile_retries_total", {c.name},
                Number(c.retries));
  }
}

void AddStore(const store::RocksStore::Stats& stats,
              metrics::Samples& samples) {
  samples.Add("bulwark_store_commits_total", Number(stats.commits));
  samples.Add("bulwark_store_write_duration_seconds", {}, stats.write_time);
  samples.Add("bulwark_store_write_failures_total", Number(stats.failures));
  samples.Add("bulwark_store_reopened_total", Number(stats.reopened));
  samples.Add("bulwark_store_revision", Number(stats.revision));
  samples.Add("bulwark_store_log_revisions", Number(stats.log_revisions));
}

void AddCalls(const std::vector<api::CallStats::Method>& methods,
              metrics::Samples& samples) {
  for (const api::CallStats::Method& m : methods) {
    samples.Add("bulwark_api_calls_in_flight", {m.name}, Number(m.in_flight));
    for (const auto& [code, count] : m.by_code) {
      samples.Add("bulwark_api_calls_total", {m.name, code}, Number(count));
    }
    if (m.durations.counts.back() == 0) continue;  // of a stream
    samples.Add("bulwark_api_call_duration_seconds", {m.name}, m.durations);
  }
}

void AddPulls(const MeasuredImages::Stats& stats, metrics::Samples& samples) {
  samples.Add("bulwark_image_pulls_total", {"ok"}, Number(stats.pulls));
  samples.Add("bulwark_image_pulls_total", {"error"}, Number(stats.failures));
  samples.Add("bulwark_image_pull_bytes_total", Number(stats.bytes));
  samples.Add("bulwark_image_pull_duration_seconds", {}, stats.durations);
  samples.Add("bulwark_image_refusals_total", Number(stats.refusals));
  samples.Add("bulwark_image_lookups_total", Number(stats.lookups));
  samples.Add("bulwark_image_collections_total", Number(stats.collections));
  samples.Add("bulwark_image_collected_bytes_total",
              Number(stats.collected_bytes));
}

void AddPushes(const MeasuredExchange::Stats& stats,
               metrics::Samples& samples) {
  samples.Add("bulwark_image_pushes_total", {"ok"}, Number(stats.pushes));
  samples.Add("bulwark_image_pushes_total", {"error"}, Number(stats.failures));
  samples.Add("bulwark_image_push_bytes_total", Number(stats.bytes));
  samples.Add("bulwark_image_push_duration_seconds", {}, stats.durations);
}

}  // namespace bulwark::daemon
