#include "daemon/metrics/collector.h"

#include <utility>

#include "daemon/metrics/host.h"
#include "daemon/metrics/objects.h"
#include "daemon/metrics/runtime.h"
#include "daemon/metrics/usage.h"
#include "os/measure.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

// What the sampler has seen in this time is not read again.
constexpr absl::Duration kMaxAge = absl::Seconds(1);

}  // namespace

Collector::Collector(MetricSources sources, Clock& clock)
    : sources_(std::move(sources)), lifecycle_(sources_.store, clock) {}

std::vector<prometheus::MetricFamily> Collector::Collect() {
  metrics::Samples samples;
  samples.Add("bulwark_build_info", {sources_.version, sources_.kernel}, 1);
  samples.Add("bulwark_daemon_degraded", sources_.degraded());
  samples.Add("bulwark_secrets_sealed", sources_.sealed());
  const ReplicaNames names = AddObjects(samples);
  lifecycle_.AddTo(samples);
  const scheduler::UsageSamplePtr usage = sources_.usage.Fresh(kMaxAge);
  AddUsage(*usage, samples);
  samples.Add("bulwark_proxy_up", usage->proxy.has_value());
  if (usage->proxy.has_value()) AddProxy(*usage->proxy, names, samples);
  AddControllers(sources_.controllers(), samples);
  AddStore(sources_.store.GetStats(), samples);
  if (const auto size = os::MeasureTree(sources_.store_dir); size.ok()) {
    samples.Add("bulwark_store_size_bytes", static_cast<double>(size->bytes));
  }
  AddCalls(sources_.server.GetStats(), samples);
  samples.Add("bulwark_images",
              static_cast<double>(sources_.images.List().size()));
  AddPulls(sources_.images.GetStats(), samples);
  AddPushes(sources_.exchange.GetStats(), samples);
  AddHost(samples);
  AddProcess(samples);
  return std::move(samples).Take();
}

ReplicaNames Collector::AddObjects(metrics::Samples& samples) {
  ReplicaNames names;
  for (const char* kind :
       {"service", "scale", "replica", "volume", "job", "cron-job"}) {
    const auto listing = store::ListReadable(sources_.store, kind);
    if (!listing.ok()) continue;  // the store says so itself
    samples.Add("bulwark_objects", {kind},
                static_cast<double>(listing->objects.size()));
    for (const v1::Object& object : listing->objects) {
      AddObject(object, samples);
      if (!object.has_replica()) continue;
      names[object.replica().metadata().uid()] = LabelsOf(object.replica());
    }
  }
  return names;
}

}  // namespace bulwark::daemon
