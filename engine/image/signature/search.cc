#include "engine/image/signature/search.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image_refusal.h"

namespace bulwark::engine::image {
namespace {

// Where cosign puts the signatures of a document.
std::string SignatureTag(absl::string_view digest) {
  return absl::StrCat("sha256-", HexOf(digest), ".sig");
}

// One that is gone, was altered or makes no sense is no signature; others may
// be.
bool IsJustOne(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status) ||
         absl::IsInvalidArgument(status);
}

}  // namespace

absl::StatusOr<std::vector<Signature>> SignatureSearch::ByTag(
    const std::string& subject) {
  const absl::StatusOr<registry::ManifestDocument> document =
      sources_->FetchManifest(SignatureTag(subject));
  std::vector<Signature> found;
  if (absl::IsNotFound(document.status())) return found;
  const absl::StatusOr<std::vector<SignatureLayer>> layers =
      document.ok() ? ParseSignatureManifest(document->text)
                    : document.status();
  if (absl::IsInvalidArgument(layers.status())) {
    return RefuseImage(
        kSignatureInvalid,
        absl::StrCat("what the registry has as ", SignatureTag(subject),
                     " is not a signature: ", layers.status().message(),
                     "; sign the image again"));
  }
  if (!layers.ok()) return Annotate(layers.status(), "look for its signature");
  Budget budget;
  RETURN_IF_ERROR(Add(*layers, budget, found));
  return found;
}

absl::StatusOr<std::vector<Signature>> SignatureSearch::ByReferrers(
    const std::string& subject) {
  absl::StatusOr<std::vector<Referrer>> referrers =
      sources_->ListReferrers(subject, kSignatureArtifact);
  if (!referrers.ok()) {
    return Annotate(referrers.status(),
                    "look for its signature among its referrers");
  }
  std::vector<Signature> found;
  Budget budget;
  size_t read = 0;
  for (auto it = referrers->rbegin();
       it != referrers->rend() && read < kMaxReferrersRead; ++it) {
    if (it->size_bytes > kMaxReferrerBytes) continue;
    ++read;
    const absl::StatusOr<registry::ManifestDocument> document =
        sources_->FetchManifest(it->digest);
    if (IsJustOne(document.status())) continue;
    if (!document.ok()) {
      return Annotate(document.status(), "fetch its signature");
    }
    // It may be larger than the list says.
    if (document->text.size() > kMaxReferrerBytes) continue;
    const absl::StatusOr<std::vector<SignatureLayer>> layers =
        ParseSignatureManifest(document->text);
    if (!layers.ok()) continue;
    RETURN_IF_ERROR(Add(*layers, budget, found));
  }
  return found;
}

absl::Status SignatureSearch::Add(const std::vector<SignatureLayer>& layers,
                                  Budget& budget, std::vector<Signature>& to) {
  for (const SignatureLayer& layer : layers) {
    if (budget.signatures >= kMaxSignatures) break;
    const std::pair<std::string, int64_t> key = {layer.digest, layer.size};
    auto it = payloads_.find(key);
    if (it == payloads_.end()) {
      if (budget.payloads >= kMaxPayloads) continue;
      ++budget.payloads;
      absl::StatusOr<std::string> payload = sources_->ReadBlob(
          {kSimpleSigning, layer.digest, layer.size}, blobs_);
      if (IsJustOne(payload.status())) payload = std::string();
      if (!payload.ok()) {
        return Annotate(payload.status(), "fetch its signature");
      }
      it = payloads_.emplace(key, *std::move(payload)).first;
    }
    ++budget.signatures;
    to.push_back({it->second, layer.signature, nullptr});
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::image
