#include "engine/image/signature/evidence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"
#include "engine/image_refusal.h"

namespace bulwark::engine::image {
namespace {

constexpr char kCosignType[] = "cosign container image signature";
// Of P-256 in DER it has at most 72 bytes.
constexpr size_t kMaxSignatureBytes = 256;

// How near a signature comes to one that will do.
enum Nearness { kNothing, kUnreadable, kOtherKey, kOtherImage, kOtherName };

struct Verdict {
  Nearness nearness = kNothing;
  std::string why;
  bool good = false;
};

std::string RepositoryOf(const Reference& name) {
  return absl::StrCat(name.registry, "/", name.repository);
}

bool IsByOneOf(const SignatureRule& rule, const Signature& signature) {
  return std::any_of(rule.keys.begin(), rule.keys.end(), [&](const auto& key) {
    return key->Verifies(signature.payload, signature.signature);
  });
}

Verdict Judge(const SignatureRule& rule, const Reference* name,
              absl::string_view digest, const Signature& signature) {
  const absl::StatusOr<SignedClaim> claim = ParsePayload(signature.payload);
  if (!claim.ok()) {
    return {kUnreadable, std::string(claim.status().message())};
  }
  if (!IsByOneOf(rule, signature)) {
    return {kOtherKey, absl::StrCat("it is by none of the keys ",
                                    rule.KeyNames(), ", or was altered")};
  }
  const bool by_index = signature.index != nullptr &&
                        claim->digest == signature.index->digest() &&
                        signature.index->Lists(digest);
  if (claim->digest != digest && !by_index) {
    return {kOtherImage,
            absl::StrCat("it is that of another image, ", claim->digest)};
  }
  if (name != nullptr && RepositoryOf(claim->name) != RepositoryOf(*name)) {
    return {kOtherName,
            absl::StrCat("the image was signed as ", RepositoryOf(claim->name),
                         ", not as what it is used as here")};
  }
  return {kOtherName, "", true};
}

}  // namespace

absl::StatusOr<std::vector<SignatureLayer>> ParseSignatureManifest(
    absl::string_view text) {
  ASSIGN_OR_RETURN(const Json manifest,
                   ParseObject(text, "manifest of signatures"));
  const Json* layers = Find(manifest, "layers");
  if (layers == nullptr || !layers->is_array()) {
    return absl::InvalidArgumentError("manifest of signatures: no layers");
  }
  std::vector<SignatureLayer> result;
  for (auto it = layers->rbegin();
       it != layers->rend() && result.size() < kMaxSignatures; ++it) {
    if (!it->is_object()) continue;
    SignatureLayer layer;
    layer.digest = StringField(*it, "digest");
    layer.size = IntField(*it, "size");
    const std::string encoded =
        StringMap(*it, "annotations")[kSignatureAnnotation];
    if (StringField(*it, "mediaType") != kSimpleSigning ||
        !IsDigest(layer.digest) || layer.size <= 0 ||
        layer.size > kMaxPayloadBytes ||
        encoded.size() > 2 * kMaxSignatureBytes ||
        !absl::Base64Unescape(encoded, &layer.signature) ||
        layer.signature.empty() ||
        layer.signature.size() > kMaxSignatureBytes) {
      continue;
    }
    result.push_back(std::move(layer));
  }
  return result;
}

absl::StatusOr<SignedClaim> ParsePayload(absl::string_view payload) {
  ASSIGN_OR_RETURN(const Json root,
                   ParseObject(payload, "payload of a signature"));
  const auto member = [](const Json* parent, const char* key) -> const Json* {
    const Json* found = parent == nullptr ? nullptr : Find(*parent, key);
    return found != nullptr && found->is_object() ? found : nullptr;
  };
  const Json* critical = member(&root, "critical");
  const Json* image = member(critical, "image");
  const Json* identity = member(critical, "identity");
  if (image == nullptr || identity == nullptr) {
    return absl::InvalidArgumentError(
        "payload of a signature: it names no image");
  }
  if (StringField(*critical, "type") != kCosignType) {
    return absl::InvalidArgumentError(absl::StrCat(
        "payload of a signature: its type is not \"", kCosignType, "\""));
  }
  SignedClaim claim;
  claim.digest = StringField(*image, "docker-manifest-digest");
  if (!IsDigest(claim.digest)) {
    return absl::InvalidArgumentError(
        "payload of a signature: it names no digest");
  }
  const absl::StatusOr<Reference> name =
      ParseReference(StringField(*identity, "docker-reference"));
  if (!name.ok()) {
    return absl::InvalidArgumentError(
        "payload of a signature: docker-reference is not an image's name");
  }
  claim.name = *name;
  return claim;
}

SignedIndex::SignedIndex(std::vector<std::string> chain)
    : chain_(std::move(chain)), digest_(DigestOf(chain_.front())) {
  for (const std::string& text : chain_) bytes_ += text.size();
  for (size_t i = 0; i < chain_.size(); ++i) {
    const absl::StatusOr<std::vector<IndexEntry>> entries =
        ParseIndex(chain_[i]);
    if (!entries.ok()) return;
    std::set<std::string> listed;
    for (const IndexEntry& entry : *entries) {
      listed.insert(entry.descriptor.digest);
    }
    if (i + 1 == chain_.size()) {
      listed_ = std::move(listed);
    } else if (listed.count(DigestOf(chain_[i + 1])) == 0) {
      return;
    }
  }
}

absl::Status CheckSignatures(const SignatureRule& rule, const Reference* name,
                             absl::string_view digest,
                             const std::vector<Signature>& signatures) {
  const std::string what =
      name == nullptr
          ? absl::StrCat("image ", digest)
          : absl::StrCat(
                "image ", name->ToString(),
                name->digest == digest ? "" : absl::StrCat(" (", digest, ")"));
  const std::string policy =
      absl::StrCat("this host takes what is below ", rule.prefix,
                   " only if it is signed with ", rule.KeyNames());
  if (signatures.empty()) {
    return RefuseImage(
        kSignatureMissing,
        absl::StrCat(what, " has no signature: ", policy,
                     "; sign it with `cosign sign --key`, which puts the "
                     "signature beside it in the registry"));
  }
  Verdict nearest;
  for (const Signature& signature : signatures) {
    Verdict verdict = Judge(rule, name, digest, signature);
    if (verdict.good) return absl::OkStatus();
    if (verdict.nearness > nearest.nearness) nearest = std::move(verdict);
  }
  return RefuseImage(
      kSignatureInvalid,
      absl::StrCat(what, " has ", signatures.size(), " signature",
                   signatures.size() == 1 ? "" : "s",
                   ", and none holds: ", nearest.why, "; ", policy,
                   "; sign it with that key if you trust it"));
}

}  // namespace bulwark::engine::image
