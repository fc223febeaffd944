// Layers that earlier build steps made: STATE/build-cache/<key>.json.
#ifndef ENGINE_BUILD_STEP_CACHE_H_
#define ENGINE_BUILD_STEP_CACHE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/build/file_digests.h"
#include "engine/image/image_store.h"

namespace bulwark::engine::build {

// What a step made. A step that changed no file has an empty diff id.
struct StepResult {
  std::string blob;
  int64_t size = 0;
  std::string diff_id;
  absl::Time create_time;
  bool zstd = false;  // the blob's compression; else gzip
};

// A key is a digest of all that a step depends on. Thread-safe; entries are
// replaced whole, so builds side by side are harmless. The content of entries
// is kept from the store's sweep for 30 days after their last use.
class StepCache {
 public:
  // Both are borrowed. Registers the cache's content with the store.
  static absl::StatusOr<std::unique_ptr<StepCache>> Open(
      const std::string& state_dir, image::ImageStore* store, Clock* clock);

  // The step's result if its layer is still there; `lease` holds it then.
  std::optional<StepResult> Find(const std::string& key,
                                 image::ImageStore::Lease* lease);

  absl::Status Put(const std::string& key, const StepResult& result);

  // How many steps are remembered.
  int64_t Count() const;
  // Forgets them all; their content goes with the store's next sweep.
  absl::Status Clear();

  // Of files in the keys of steps.
  FileDigests& digests() { return digests_; }

 private:
  StepCache(std::string dir, image::ImageStore* store, Clock* clock)
      : dir_(std::move(dir)), store_(store), clock_(clock) {}
  std::string PathOf(const std::string& key) const;
  void Touch(const std::string& path) const;
  std::optional<StepResult> Read(const std::string& path) const;
  // Forgets old entries; the digests that the others need.
  image::ImageStore::Roots Prune();

  const std::string dir_;
  image::ImageStore* const store_;
  Clock* const clock_;
  FileDigests digests_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STEP_CACHE_H_
