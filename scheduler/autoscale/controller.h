// Decides how many replicas autoscaled services have, and records it.
#ifndef SCHEDULER_AUTOSCALE_CONTROLLER_H_
#define SCHEDULER_AUTOSCALE_CONTROLLER_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/autoscale/plan.h"
#include "scheduler/control/runner.h"
#include "scheduler/events.h"
#include "scheduler/usage/usage.h"
#include "store/store.h"

namespace bulwark::scheduler {

// The only writer of Scale objects: one for each service with `autoscale`,
// under the service's name. A decision is durable before the service controller
// is told; the windows' memory and the metrics are written without fsync, and
// only when they change. The record goes with the service, and with its
// `autoscale`: `replicas` counts again then. Thread-safe; never blocks on
// anything but the store.
class AutoscaleController {
 public:
  // Oldest first, as UsageSampler::History().
  using Samples = std::function<std::vector<UsageSamplePtr>()>;
  // "PROJECT/NAME" of a service whose count has changed. Must not block.
  using ChangeHook = std::function<void(const std::string& service)>;

  // The references must outlive this object.
  AutoscaleController(store::MetadataStore& store, Clock& clock,
                      Entropy& entropy, EventRecorder& events, Samples samples,
                      ChangeHook changed);

  // Asks to be called again every 2 s.
  absl::StatusOr<Result> Reconcile(const std::string& key);

 private:
  // What all may use at the time of a sample: read once for each, else each
  // service would read all others.
  struct Claims {
    UsageSamplePtr sample;
    std::map<std::string, Requests> services;  // by uid
    Requests jobs;
  };

  absl::StatusOr<Capacity> CapacityOf(const v1::Service& service,
                                      const UsageSamplePtr& last);
  absl::StatusOr<Claims> ReadClaims(const UsageSamplePtr& sample);
  absl::Status Forget(const store::Key& key);
  void RememberReady(const std::string& key,
                     const std::vector<v1::Replica>& replicas,
                     std::set<std::string>& were_ready);
  absl::Status Commit(const v1::Object& service, AutoscaleView& view,
                      ScalePlan& plan);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  EventRecorder& events_;
  const Samples samples_;
  const ChangeHook changed_;

  absl::Mutex mu_;
  // By service key: the uids of its replicas that have been seen ready. After a
  // restart of ours one that is not ready then counts as never ready.
  std::map<std::string, std::set<std::string>> ready_ ABSL_GUARDED_BY(mu_);
  Claims claims_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_AUTOSCALE_CONTROLLER_H_
