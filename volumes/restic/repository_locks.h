// Who is in a repository of restic's.
#ifndef VOLUMES_RESTIC_REPOSITORY_LOCKS_H_
#define VOLUMES_RESTIC_REPOSITORY_LOCKS_H_

#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// restic refuses to remove backups while another restic works in the
// repository, and to work there while one removes some. Those of this process
// wait for each other instead. Thread-safe.
class RepositoryLocks {
 public:
  // Ends with this object, which the locks must outlive.
  class Hold {
   public:
    Hold(RepositoryLocks& locks, std::string path, bool alone)
        : locks_(&locks), path_(std::move(path)), alone_(alone) {}
    Hold(Hold&& other) noexcept
        : locks_(std::exchange(other.locks_, nullptr)),
          path_(std::move(other.path_)),
          alone_(other.alone_) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (locks_ != nullptr) locks_->Leave(path_, alone_);
    }

   private:
    RepositoryLocks* locks_;
    std::string path_;
    bool alone_;
  };

  // Beside others. Blocks; CANCELLED once `wanted` (null: always) says no.
  absl::StatusOr<Hold> Share(const std::string& path, const Wanted& wanted) {
    return Enter(path, false, wanted);
  }
  // As the only one. Those who want to share then wait behind.
  absl::StatusOr<Hold> TakeAlone(const std::string& path,
                                 const Wanted& wanted) {
    return Enter(path, true, wanted);
  }

 private:
  struct State {
    int sharing = 0;
    int waiting = 0;  // to be alone
    bool alone = false;
  };

  absl::StatusOr<Hold> Enter(const std::string& path, bool alone,
                             const Wanted& wanted);
  void Leave(const std::string& path, bool alone);

  absl::Mutex mu_;
  // Few, and none is ever removed: those who wait hold references.
  std::map<std::string, State> states_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_RESTIC_REPOSITORY_LOCKS_H_
