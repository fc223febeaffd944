// One hand at a time on a slot's sandbox.
#ifndef SCHEDULER_SLOT_GUARD_H_
#define SCHEDULER_SLOT_GUARD_H_

#include <set>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"

namespace bulwark::scheduler {

// Who makes a slot's sandbox for a replica and who removes the sandbox of an
// unused slot would otherwise undo each other's work. No mutex is held while a
// slot is. Thread-safe.
class SlotGuard {
 public:
  class Hold {
   public:
    Hold(SlotGuard& guard, std::string slot)
        : guard_(guard), slot_(std::move(slot)) {
      guard_.Acquire(slot_);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { guard_.Release(slot_); }

   private:
    SlotGuard& guard_;
    const std::string slot_;
  };

 private:
  void Acquire(const std::string& slot) {
    absl::MutexLock lock(&mu_);
    auto free = [this, &slot]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return !held_.contains(slot);
    };
    mu_.Await(absl::Condition(&free));
    held_.insert(slot);
  }
  void Release(const std::string& slot) {
    absl::MutexLock lock(&mu_);
    held_.erase(slot);
  }

  absl::Mutex mu_;
  std::set<std::string> held_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SLOT_GUARD_H_
