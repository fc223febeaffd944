// A thread that follows the store.
#ifndef SCHEDULER_FOLLOW_FOLLOWER_H_
#define SCHEDULER_FOLLOW_FOLLOWER_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "store/store.h"

namespace bulwark::scheduler {

// For controllers that keep one outside thing in step with many objects (the
// data plane, the networks), where a queue of keys would only be in the way.
//
// Calls `pass` with null at first, then with the changes of commits that
// match, as they come, or with none when the time that the last pass asked for
// is over. A failed pass, and a watch that fell behind, lead to a new call with
// null: look at everything. Calls come from one thread. Start() and Stop() once
// each.
class Follower {
 public:
  // Returns the longest time until the next call.
  using Pass = std::function<absl::StatusOr<absl::Duration>(
      const std::vector<store::Change>* changes)>;

  // `name` is for the log. The references must outlive this object. `gather`:
  // for so long changes may wait for others, to be looked at together. Who is
  // in no hurry leaves the processors to those who are.
  Follower(std::string name, store::MetadataStore& store, Clock& clock,
           store::Filter filter, Pass pass,
           absl::Duration gather = absl::ZeroDuration());
  ~Follower();

  void Start();
  void Stop();

 private:
  void Loop();
  absl::Status Follow();
  // What comes until `gather` is over, behind `changes`.
  absl::Status Gather(store::Watcher& watcher,
                      std::vector<store::Change>& changes);

  const std::string name_;
  store::MetadataStore& store_;
  Clock& clock_;
  const store::Filter filter_;
  const Pass pass_;
  const absl::Duration gather_;

  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  store::Watcher* watcher_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::thread thread_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_FOLLOW_FOLLOWER_H_
