// The live end of the change log: what watchers wait on.
#ifndef STORE_FEED_H_
#define STORE_FEED_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "store/commit.h"
#include "store/store.h"

namespace bulwark::store {

// Keeps the most recent commits in memory and reads older ones through a
// loader, so watchers need no queues of their own. Thread-safe. Watchers must
// be gone before it is.
class Feed {
 public:
  struct Limits {
    size_t commits = 4096;
    size_t bytes = size_t{8} << 20;
  };

  // Returns the stored commits after `after`, oldest first, at most `limit`.
  // OUT_OF_RANGE unless `after` is a commit's revision that the log can
  // continue from. Called without any lock of the feed.
  using Loader = std::function<absl::StatusOr<std::vector<CommitPtr>>(
      uint64_t after, size_t limit)>;

  // `revision` is the last commit so far; the feed holds what follows it.
  Feed(Clock& clock, uint64_t revision, Limits limits, Loader loader);
  ~Feed();

  // Adds committed entries, in order, and wakes the watchers whose filters
  // match one of them.
  void Publish(std::vector<CommitPtr> commits);

  // Forgets what is older than `cutoff`, except the last `keep` commits.
  void DropOlder(absl::Time cutoff, size_t keep);

  // Forgets everything and continues after `revision`. Watchers elsewhere get
  // OUT_OF_RANGE as soon as there is something new.
  void Reset(uint64_t revision);

  // Blocks until `revision` is published, or the feed is closed.
  void AwaitRevision(uint64_t revision);

  // The last published revision.
  uint64_t Current() const;

  // See MetadataStore::Watch.
  absl::StatusOr<std::unique_ptr<Watcher>> Watch(uint64_t after,
                                                 const Filter& filter);

  // Cancels every watcher, and those to come.
  void Close();

 private:
  class Bell;
  class Cursor;

  // Up to `limit` commits after `after`, from memory or through the loader.
  absl::StatusOr<std::vector<CommitPtr>> Read(uint64_t after, size_t limit);
  void DropFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock& clock_;
  const Limits limits_;
  const Loader loader_;

  mutable absl::Mutex mu_;
  std::deque<CommitPtr> recent_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t floor_ ABSL_GUARDED_BY(mu_);  // recent_ holds all after this
  uint64_t current_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Cursor*> cursors_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::store

#endif  // STORE_FEED_H_
