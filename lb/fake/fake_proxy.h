// A data plane without one, for tests.
#ifndef LB_FAKE_FAKE_PROXY_H_
#define LB_FAKE_FAKE_PROXY_H_

#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lb/proxy.h"

namespace bulwark::lb {

// Takes snapshots by the rules of the real one (versions, malformed ones), and
// remembers them. Serves nobody. Thread-safe.
class FakeProxy final : public Proxy {
 public:
  absl::Status Start() override;
  absl::StatusOr<dataplane::v1::Applied> Apply(
      const dataplane::v1::Snapshot& snapshot, absl::Duration timeout) override;
  // Counts as set by SetStats, with a line for each pool and endpoint of the
  // current snapshot.
  absl::StatusOr<dataplane::v1::Stats> Stats(absl::Duration timeout) override;
  absl::StatusOr<dataplane::v1::Snapshot> LastApplied() override;
  absl::Status Shutdown() override;

  // The next calls (of any kind but Shutdown) fail so, one each.
  void FailNext(absl::Status error);
  // Until told otherwise, `errors` are part of each answer to Apply, as far as
  // they name listeners of the snapshot.
  void SetListenerErrors(std::vector<dataplane::v1::ListenerError> errors);
  void SetStats(dataplane::v1::PoolStats stats);
  // Runs inside each successful Apply, without a lock.
  void OnApply(std::function<void(const dataplane::v1::Snapshot&)> hook);

  // What is in force: version 0 before the first.
  dataplane::v1::Snapshot snapshot() const;
  int applied_count() const;
  bool started() const;

 private:
  absl::Status NextFailure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  int applied_count_ ABSL_GUARDED_BY(mu_) = 0;
  dataplane::v1::Snapshot snapshot_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Status> failures_ ABSL_GUARDED_BY(mu_);
  std::vector<dataplane::v1::ListenerError> errors_ ABSL_GUARDED_BY(mu_);
  std::vector<dataplane::v1::PoolStats> stats_ ABSL_GUARDED_BY(mu_);
  std::function<void(const dataplane::v1::Snapshot&)> hook_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::lb

#endif  // LB_FAKE_FAKE_PROXY_H_
