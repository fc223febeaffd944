// The workers of one controller, and the only place where things are retried.
#ifndef SCHEDULER_CONTROL_RUNNER_H_
#define SCHEDULER_CONTROL_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/histogram.h"
#include "scheduler/control/work_queue.h"

namespace bulwark::scheduler {

// What a reconciler says when nothing went wrong.
struct Result {
  // Look at the key again after this time, even if nothing happens.
  std::optional<absl::Duration> requeue_after;
};

struct RunnerOptions {
  std::string name;  // for the log
  int workers = 4;
  // All keys of the lister are looked at at least this often (the jitter only
  // shortens it): a lost event costs latency, never correctness.
  absl::Duration resync = absl::Seconds(30);
  Backoff backoff;  // after errors that may pass
  // After errors that only a change of the object can cure.
  absl::Duration hopeless_delay = absl::Minutes(5);
};

// Takes keys from its queue and calls `reconcile` with each, never with one key
// on two threads. An error that IsRetryable() brings the key back after the
// back-off, any other after `hopeless_delay`, unless the key is added sooner.
// An error is logged when it is new for the key, not at each repetition.
// Thread-safe; Start() and Stop() once each.
class Runner {
 public:
  // Must return OK for a key whose object is gone. Takes one step, or as many
  // as are ready; never waits for what an event will announce.
  using Reconcile =
      std::function<absl::StatusOr<Result>(const std::string& key)>;
  // All keys. Called from a thread of the runner.
  using Lister = std::function<std::vector<std::string>()>;

  struct Stats {
    std::string name;
    int64_t runs = 0;
    int64_t failures = 0;
    int64_t retries = 0;  // failures after which the back-off was begun
    int64_t busy_workers = 0;
    size_t ready = 0;     // keys that wait for a worker
    size_t delayed = 0;   // keys that wait for their time
    absl::Duration time;  // spent in `reconcile`, by all workers together
    Histogram::Snapshot durations;  // of each `reconcile`
  };

  // The references must outlive the runner.
  Runner(RunnerOptions options, Clock& clock, Entropy& entropy,
         Reconcile reconcile, Lister lister);
  ~Runner();  // stops

  // Looks at all keys at once, then when told and at each resync.
  void Start();
  // Returns when no `reconcile` runs any more. Keys in the queue are dropped.
  void Stop();

  void Add(const std::string& key) { queue_.Add(key); }
  WorkQueue& queue() { return queue_; }
  Stats GetStats() const;

 private:
  void Work();
  void Resync();
  void RunOne(const std::string& key);
  void Failed(const std::string& key, const absl::Status& error);

  const RunnerOptions options_;
  Clock& clock_;
  Entropy& entropy_;
  const Reconcile reconcile_;
  const Lister lister_;
  WorkQueue queue_;

  std::atomic<int64_t> runs_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> retries_{0};
  std::atomic<int64_t> busy_{0};
  std::atomic<int64_t> nanoseconds_{0};
  Histogram durations_;

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  // The last error of each failing key, so that it is logged once.
  absl::flat_hash_map<std::string, std::string> errors_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_CONTROL_RUNNER_H_
