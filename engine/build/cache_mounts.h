// Directories that RUN --mount=type=cache keeps from build to build:
// STATE/build-mounts/<hex of the id's digest>-<n>.
#ifndef ENGINE_BUILD_CACHE_MOUNTS_H_
#define ENGINE_BUILD_CACHE_MOUNTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"

namespace bulwark::engine::build {

enum class CacheSharing {
  kShared,   // all at once in one directory
  kPrivate,  // a further directory while the first is used
  kLocked,   // one after the other
};

// A directory is visible only once it is filled. Those that nobody used for 30
// days go. Thread-safe.
class CacheMounts {
 public:
  // `clock` is borrowed.
  static absl::StatusOr<std::unique_ptr<CacheMounts>> Open(
      const std::string& state_dir, Clock* clock);

  // A directory in use: it is not removed meanwhile. Must not outlive its
  // CacheMounts.
  class Use {
   public:
    Use(CacheMounts* mounts, std::string name)
        : mounts_(mounts), name_(std::move(name)) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { mounts_->Release(name_); }
    std::string path() const { return mounts_->dir_ + "/" + name_; }

   private:
    CacheMounts* const mounts_;
    const std::string name_;
  };

  // Fills a new directory, empty and of mode 0755.
  using Fill = std::function<absl::Status(const std::string& directory)>;

  // The directory of `id`, made with `fill` if need be. Blocks for kLocked
  // until nobody else uses it; CANCELLED if `cancelled` says so meanwhile.
  absl::StatusOr<std::unique_ptr<Use>> Acquire(
      const std::string& id, CacheSharing sharing, const Fill& fill,
      const std::function<bool()>& cancelled);

  int64_t Count() const;
  // What they take on disk.
  int64_t Bytes() const;
  // Removes all that are not in use; how many.
  absl::StatusOr<int64_t> Clear();
  // Removes those that were not used for long.
  void Expire();

 private:
  struct State {
    int users = 0;
    bool alone = false;  // nobody else may come
  };

  CacheMounts(std::string dir, Clock* clock)
      : dir_(std::move(dir)), clock_(clock) {}
  std::string Enter(const std::string& prefix, CacheSharing sharing)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Make(const std::string& name, const Fill& fill);
  absl::Status Remove(const std::string& name);
  void Release(const std::string& name);

  const std::string dir_;
  Clock* const clock_;
  mutable absl::Mutex mu_;
  std::map<std::string, State> used_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_CACHE_MOUNTS_H_
