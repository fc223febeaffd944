// Counts what happens to services, as the store's changes tell it.
#ifndef DAEMON_METRICS_LIFECYCLE_H_
#define DAEMON_METRICS_LIFECYCLE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "metrics/samples.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/follow/follower.h"
#include "store/store.h"

namespace bulwark::daemon {

// What the store held before the start, and what a watch that fell behind has
// missed, is not counted: counters never tell of what did not happen.
// Thread-safe; Start() and Stop() once each.
class Lifecycle {
 public:
  // The references must outlive this object.
  Lifecycle(store::MetadataStore& store, Clock& clock);

  void Start() { follower_.Start(); }
  void Stop() { follower_.Stop(); }

  // Series of services that are gone are left out.
  void AddTo(metrics::Samples& samples) const;

  // One pass, as a Follower makes it; public for tests.
  absl::Status Pass(const std::vector<store::Change>* changes);

 private:
  using Name = std::pair<std::string, std::string>;  // project, service

  struct Counts {
    int64_t restarts = 0;
    int64_t oom_kills = 0;
    int64_t rollouts = 0;
    int64_t rollbacks = 0;
    std::map<std::string, int64_t> failures;  // by reason
    // Slots whose last replica has failed.
    std::set<int> failed;
  };

  absl::Status SeeAll();
  // `counting`: else the object is only noted.
  void See(const v1::Object& object, bool counting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SeeReplica(const v1::Replica& replica, bool counting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SeeRevision(const v1::Revision& revision, bool counting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(const v1::Object& object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  store::MetadataStore& store_;

  mutable absl::Mutex mu_;
  std::map<Name, Counts> services_ ABSL_GUARDED_BY(mu_);
  // The last state of each replica, and of each revision when its rollout was
  // begun (microseconds since 1970) and whether it has failed; by uid.
  std::map<std::string, v1::ReplicaStatus::State> replicas_
      ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::pair<int64_t, bool>> revisions_
      ABSL_GUARDED_BY(mu_);

  scheduler::Follower follower_;  // last: its thread uses the rest
};

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_LIFECYCLE_H_
