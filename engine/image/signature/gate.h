// Lets only those images pass that are signed as the host's policy wants it.
#ifndef ENGINE_IMAGE_SIGNATURE_GATE_H_
#define ENGINE_IMAGE_SIGNATURE_GATE_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/image/blob_store.h"
#include "engine/image/reference.h"
#include "engine/image/signature/kept.h"
#include "engine/image/signature/policy.h"
#include "engine/image/sources.h"

namespace bulwark::engine::image {

// Thread-safe. Refusals are those of CheckSignatures().
class SignatureGate {
 public:
  // `blobs` must outlive this object.
  SignatureGate(SignaturePolicy policy, const std::string& state_dir,
                BlobStore* blobs);

  // By what is kept, without a registry. `name` null: the image is used by its
  // digest alone.
  absl::Status CheckKept(const Reference* name, absl::string_view digest) const;

  // With the signatures that the registry has now, by tag and, if none of those
  // will do, by referrers; they are kept if they will do. `sources` are those
  // of the image's repository. `indexes`: those through which the image was
  // chosen, each listed by the one before it; empty if there was none or they
  // are not known, when the registry is asked for them. Other errors are the
  // registry's.
  absl::Status CheckAtRegistry(Sources& sources, const Reference& name,
                               absl::string_view digest,
                               const std::vector<std::string>& indexes);

  // See KeptSignatures.
  void Sweep(const std::set<std::string>& digests, absl::Time now) {
    kept_.Sweep(digests, now);
  }

 private:
  const SignaturePolicy policy_;
  KeptSignatures kept_;
  BlobStore* const blobs_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_GATE_H_
