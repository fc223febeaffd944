// Build contexts that stay on disk, so that the next build of the same folder
// is sent only what is new there (docs/adr/0035-contexts-that-stay.md).
#ifndef API_KEPT_CONTEXTS_H_
#define API_KEPT_CONTEXTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "api/uploads.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/contexts.pb.h"

namespace bulwark::api {

// A folder as a client had it. Nobody writes to it any more, and it goes with
// its last user. Immutable.
class KeptContext {
 public:
  using Entries = std::map<std::string, v1::ContextEntry>;  // by path

  KeptContext(std::unique_ptr<UploadDir> dir, Entries entries)
      : dir_(std::move(dir)), entries_(std::move(entries)) {}

  const std::string& path() const { return dir_->path(); }
  const Entries& entries() const { return entries_; }

 private:
  const std::unique_ptr<UploadDir> dir_;
  const Entries entries_;
};

// What a client says that it has, and what is here of it.
struct OfferedContext {
  std::string key;  // user and folder
  KeptContext::Entries entries;
  std::vector<std::string> known;           // files that `base` has
  std::shared_ptr<const KeptContext> base;  // null: none
  bool complete = false;                    // `base` is all of it
};

// A user's contexts are never another's. Thread-safe.
class KeptContexts {
 public:
  struct Limits {
    int64_t bytes = int64_t{2} << 30;  // of all contexts
    size_t entries = 300'000;          // of all contexts
    size_t offers = 64;                // that wait for their build
    absl::Duration idle = absl::Hours(24);
    // Nothing is kept on a disk of which less is free: a share, or sixteen
    // times `bytes`.
    double free = 0.2;
  };

  // Both must outlive this object.
  KeptContexts(Clock& clock, Entropy& entropy)
      : KeptContexts(clock, entropy, Limits()) {}
  KeptContexts(Clock& clock, Entropy& entropy, Limits limits)
      : clock_(clock), entropy_(entropy), limits_(limits) {}

  // INVALID_ARGUMENT if an entry cannot be one of a context.
  absl::StatusOr<v1::OfferContextResponse> Offer(
      int64_t uid, const v1::OfferContextRequest& request)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The offer, once. ABORTED if it is not known (any more).
  absl::StatusOr<OfferedContext> Take(int64_t uid, const std::string& id)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Adds to `dir`, which holds what the client sent for the offer, the rest.
  // If it is then what was offered, and there is room, it is kept for the next
  // offer. Errors are those of the disk; nothing of that kind is kept then.
  absl::StatusOr<std::shared_ptr<const KeptContext>> Complete(
      OfferedContext offer, std::unique_ptr<UploadDir> dir)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Forgets all; those that are in use go later.
  void Clear() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using ContextPtr = std::shared_ptr<const KeptContext>;
  struct Kept {
    ContextPtr context;
    int64_t bytes = 0;
    absl::Duration used;
  };
  struct Pending {
    int64_t uid = 0;
    absl::Duration made;
    OfferedContext offer;
  };

  void Keep(const std::string& key, ContextPtr context)
      ABSL_LOCKS_EXCLUDED(mu_);
  // What goes is appended to `gone`, to be removed without the lock.
  void DropOld(absl::Duration now, std::vector<ContextPtr>* gone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MakeRoom(int64_t bytes, size_t entries, std::vector<ContextPtr>* gone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock& clock_;
  Entropy& entropy_;
  const Limits limits_;
  absl::Mutex mu_;
  std::map<std::string, Kept> kept_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Pending> pending_ ABSL_GUARDED_BY(mu_);  // by id
};

}  // namespace bulwark::api

#endif  // API_KEPT_CONTEXTS_H_
