// One hand at a time on a volume.
#ifndef VOLUMES_ID_LOCKS_H_
#define VOLUMES_ID_LOCKS_H_

#include <set>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace bulwark::volumes {

// Held over slow work on the disk, while no mutex is. Thread-safe.
class IdLocks {
 public:
  class Hold {
   public:
    Hold(IdLocks& locks, absl::string_view id) : locks_(locks), id_(id) {
      locks_.Acquire(id_);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { locks_.Release(id_); }

   private:
    IdLocks& locks_;
    const std::string id_;
  };

 private:
  void Acquire(const std::string& id) {
    absl::MutexLock lock(&mu_);
    auto free = [this, &id]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return !held_.contains(id);
    };
    mu_.Await(absl::Condition(&free));
    held_.insert(id);
  }
  void Release(const std::string& id) {
    absl::MutexLock lock(&mu_);
    held_.erase(id);
  }

  absl::Mutex mu_;
  std::set<std::string> held_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_ID_LOCKS_H_
