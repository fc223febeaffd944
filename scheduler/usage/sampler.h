// Reads what everything uses, again and again.
#ifndef SCHEDULER_USAGE_SAMPLER_H_
#define SCHEDULER_USAGE_SAMPLER_H_

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "lb/proxy.h"
#include "netmesh/network.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/usage/usage.h"
#include "store/store.h"

namespace bulwark::scheduler {

// All of it outlives the sampler.
struct UsagePorts {
  store::MetadataStore& store;
  engine::Engine& engine;
  netmesh::Network& network;
  lb::Proxy& proxy;
  std::function<absl::StatusOr<NodeUsage>()> node;
  Clock& clock;
};

struct UsageOptions {
  absl::Duration period = absl::Seconds(2);
  // Samples are kept for so long.
  absl::Duration history = absl::Seconds(10);
};

// The one reader of statistics: the autoscaler, the API and the metrics take
// theirs from here. A source that fails costs its own values only; what failed
// is in the sample, and in the log when it is new. Thread-safe; Start() and
// Stop() once each.
class UsageSampler {
 public:
  explicit UsageSampler(UsagePorts ports, UsageOptions options = {});
  ~UsageSampler();  // stops

  void Start();
  void Stop();

  // Oldest first; empty before the first sample. Whoever asks is given samples
  // of each period for half a minute; while nobody does, none are taken, since
  // it is most of what an idle daemon would do.
  std::vector<UsageSamplePtr> History();
  // The newest one if it is not older than `max_age`, else one that is taken
  // now. Blocks (some 0.1 ms for each container, and the data plane's answer).
  UsageSamplePtr Fresh(absl::Duration max_age);

 private:
  // What a replica's record says of it for good.
  struct Identity {
    std::string project, service, job, name, sandbox;
    int slot = 0;
  };

  void Loop();
  bool AskedOrStopped() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return asked_ || stop_;
  }
  UsageSamplePtr Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sample_mu_);
  std::map<std::string, ReplicaUsage> ReadContainers(UsageSample& sample)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sample_mu_);
  // Null if there is no such replica any more.
  const Identity* Identify(const engine::ContainerInfo& container)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sample_mu_);
  void AddTraffic(std::map<std::string, ReplicaUsage>& replicas,
                  UsageSample& sample)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sample_mu_);
  void AddConnections(std::map<std::string, ReplicaUsage>& replicas,
                      UsageSample& sample);

  const UsagePorts ports_;
  const UsageOptions options_;

  // Held while a sample is taken: one at a time.
  absl::Mutex sample_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  std::map<std::string, Identity> identities_
      ABSL_GUARDED_BY(sample_mu_);  // by the replica's uid
  std::vector<std::string> complaints_ ABSL_GUARDED_BY(sample_mu_);

  mutable absl::Mutex mu_;
  std::deque<UsageSamplePtr> history_ ABSL_GUARDED_BY(mu_);
  bool asked_ ABSL_GUARDED_BY(mu_) = false;  // for the history, lately
  absl::Duration last_asked_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_USAGE_SAMPLER_H_
