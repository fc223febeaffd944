// Signatures of images in the form of cosign ("simple signing"), and what they
// say. Pure.
#ifndef ENGINE_IMAGE_SIGNATURE_EVIDENCE_H_
#define ENGINE_IMAGE_SIGNATURE_EVIDENCE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/reference.h"
#include "engine/image/signature/policy.h"

namespace bulwark::engine::image {

inline constexpr char kSimpleSigning[] =
    "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr char kSignatureAnnotation[] =
    "dev.cosignproject.cosign/signature";
// The type of manifests that `cosign sign --registry-referrers-mode=oci-1-1`
// makes refer to an image; otherwise they are as those under its tag.
inline constexpr char kSignatureArtifact[] =
    "application/vnd.dev.cosign.artifact.sig.v1+json";

inline constexpr int64_t kMaxPayloadBytes = 16 << 10;
// Of one image: more are not looked at, the newest first.
inline constexpr size_t kMaxSignatures = 1000;
// Different payloads that are fetched for one image.
inline constexpr size_t kMaxPayloads = 32;

// One layer of the manifest that holds an image's signatures.
struct SignatureLayer {
  std::string digest;     // of the payload
  int64_t size = 0;       // of the payload, at most kMaxPayloadBytes
  std::string signature;  // DER
};

// The newest first; layers that are no signatures are left out.
// INVALID_ARGUMENT if the text is no manifest.
absl::StatusOr<std::vector<SignatureLayer>> ParseSignatureManifest(
    absl::string_view text);

// What was signed.
struct SignedClaim {
  Reference name;      // the repository that the image was signed for
  std::string digest;  // of a manifest or index
};
// INVALID_ARGUMENT if it is not such a payload.
absl::StatusOr<SignedClaim> ParsePayload(absl::string_view payload);

// An index through which an image may be signed. It may have megabytes: it is
// hashed and read once, and all signatures share it. Immutable.
class SignedIndex {
 public:
  // `chain` is not empty: the index itself, then those through which it lists
  // the image, if it lies deeper, each listed by the one before it.
  explicit SignedIndex(std::vector<std::string> chain);

  const std::vector<std::string>& chain() const { return chain_; }
  size_t bytes() const { return bytes_; }  // of the chain
  const std::string& digest() const { return digest_; }
  // Whether the chain holds, and its end lists the manifest `digest`.
  bool Lists(absl::string_view digest) const {
    return listed_.count(std::string(digest)) > 0;
  }

 private:
  const std::vector<std::string> chain_;
  const std::string digest_;
  size_t bytes_ = 0;
  std::set<std::string> listed_;
};

struct Signature {
  std::string payload;
  std::string signature;  // DER
  // The document that was signed, if it is not the image itself; else null.
  std::shared_ptr<const SignedIndex> index;
};

// Whether one of `signatures` satisfies `rule` for the image `digest` in the
// repository of `name` (null: of whichever repository it was signed for). If
// not, RefuseImage() with what comes closest to it.
absl::Status CheckSignatures(const SignatureRule& rule, const Reference* name,
                             absl::string_view digest,
                             const std::vector<Signature>& signatures);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_EVIDENCE_H_
