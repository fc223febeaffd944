// The signatures of images that are here: STATE/signatures/<hex>.json.
//
// They are evidence, not a verdict: whoever starts a container checks them
// again, with the keys of that moment and without a registry.
#ifndef ENGINE_IMAGE_SIGNATURE_KEPT_H_
#define ENGINE_IMAGE_SIGNATURE_KEPT_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/image/signature/evidence.h"

namespace bulwark::engine::image {

// Thread-safe. A file that is damaged counts as absent: its signatures can be
// had again.
class KeptSignatures {
 public:
  explicit KeptSignatures(std::string state_dir);

  // Of the image `digest`, for whichever repository.
  std::vector<Signature> Get(absl::string_view digest) const;

  // Durable on return. Takes the place of what was kept for the same
  // repositories.
  absl::Status Keep(absl::string_view digest,
                    std::vector<Signature> signatures);

  // Removes those of images that are not in `digests`, except the young ones,
  // whose image may be on its way.
  void Sweep(const std::set<std::string>& digests, absl::Time now);

 private:
  std::string PathOf(absl::string_view digest) const;

  const std::string directory_;
  absl::Mutex mu_;  // one writer at a time
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_KEPT_H_
