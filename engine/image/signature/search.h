// Looks for the signatures of one image at its registry.
#ifndef ENGINE_IMAGE_SIGNATURE_SEARCH_H_
#define ENGINE_IMAGE_SIGNATURE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/image/blob_store.h"
#include "engine/image/signature/evidence.h"
#include "engine/image/sources.h"

namespace bulwark::engine::image {

// Manifests of signatures that are read of all that refer to one document, the
// last of the list first: those who keep lists append.
inline constexpr size_t kMaxReferrersRead = 32;
inline constexpr int64_t kMaxReferrerBytes = 256 << 10;

// Each call has bounds of its own, so that what fills one cannot hide what
// another finds. Thread-compatible.
class SignatureSearch {
 public:
  // Both must outlive this object; `blobs` is where payloads lie meanwhile.
  SignatureSearch(Sources* sources, BlobStore* blobs)
      : sources_(sources), blobs_(blobs) {}

  // Those under the tag that cosign has for the document `subject`. None if
  // there is no such tag. RefuseImage() if the tag is something else; other
  // errors are the registry's.
  absl::StatusOr<std::vector<Signature>> ByTag(const std::string& subject);

  // Those in artifacts that refer to `subject`; those that are gone, too large
  // or no signatures are left out. Errors are the registry's.
  absl::StatusOr<std::vector<Signature>> ByReferrers(
      const std::string& subject);

 private:
  // What one call has used up.
  struct Budget {
    size_t payloads = 0;
    size_t signatures = 0;
  };
  absl::Status Add(const std::vector<SignatureLayer>& layers, Budget& budget,
                   std::vector<Signature>& to);

  Sources* const sources_;
  BlobStore* const blobs_;
  // By digest and size: an entry may lie about one of them.
  std::map<std::pair<std::string, int64_t>, std::string> payloads_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_SEARCH_H_
