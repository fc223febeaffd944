// Which object to look at next.
#ifndef SCHEDULER_CONTROL_WORK_QUEUE_H_
#define SCHEDULER_CONTROL_WORK_QUEUE_H_

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/entropy.h"

namespace bulwark::scheduler {

// A queue of keys for level-triggered work. A key says that something about an
// object may have changed, not what, so:
//   - a key that waits is there once, however often it is added;
//   - a key is never with two workers: one that is added while it is worked on
//     comes again after Done(), and no addition is lost.
// First in, first out among what is ready. Thread-safe.
class WorkQueue {
 public:
  // The references must outlive the queue.
  WorkQueue(Clock& clock, Entropy& entropy, Backoff backoff = {});

  // Makes `key` ready.
  void Add(const std::string& key);

  // Makes `key` ready after `delay`, or sooner if that was asked before.
  void AddAfter(const std::string& key, absl::Duration delay);

  // Counts a failure of `key` and makes it ready after a delay that doubles
  // with each, which is returned. Replaces the delays asked before, though not
  // an Add(). `at_least`: the delay is not shorter.
  absl::Duration AddAfterFailure(
      const std::string& key, absl::Duration at_least = absl::ZeroDuration());

  // Makes `key` ready unless it waits for its time after a failure.
  void AddUnlessFailed(const std::string& key);

  // Ends the series of failures.
  void Forget(const std::string& key);

  // Blocks for a ready key and hands it over until Done(). Nothing once the
  // queue is shut down, even if keys are left.
  std::optional<std::string> Get();
  void Done(const std::string& key);

  // Wakes all in Get(). Idempotent.
  void ShutDown();

  size_t Ready() const;
  size_t Delayed() const;
  int Failures(const std::string& key) const;

 private:
  void AddLocked(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetDelay(const std::string& key, absl::Duration due)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Moves what is due to the ready keys. Returns when the next is due.
  absl::Duration Promote() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock& clock_;
  Entropy& entropy_;
  const Backoff backoff_;

  mutable absl::Mutex mu_;
  std::deque<std::string> ready_ ABSL_GUARDED_BY(mu_);
  // Waiting in ready_, or to come again when their worker is done.
  absl::flat_hash_set<std::string> dirty_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::string> processing_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<absl::Duration, std::string>> delayed_
      ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, absl::Duration> due_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, int> failures_ ABSL_GUARDED_BY(mu_);
  // One of those in Get() waits for what is due next, the others for keys.
  bool has_timer_ ABSL_GUARDED_BY(mu_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_CONTROL_WORK_QUEUE_H_
