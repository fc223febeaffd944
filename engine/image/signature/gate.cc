#include "engine/image/signature/gate.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image_refusal.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kKeptOfRepository = 8;
constexpr size_t kMaxSpareIndex = 256 << 10;

// Where cosign puts the signatures of a document.
std::string SignatureTag(absl::string_view digest) {
  return absl::StrCat("sha256-", HexOf(digest), ".sig");
}

// Which to keep: the one that holds, and a few for keys that may come.
std::vector<Signature> Choose(const SignatureRule& rule, const Reference& name,
                              absl::string_view digest,
                              std::vector<Signature> signatures) {
  std::vector<Signature> chosen;
  bool found = false;
  for (Signature& signature : signatures) {
    if (!found && CheckSignatures(rule, &name, digest, {signature}).ok()) {
      found = true;
      chosen.insert(chosen.begin(), std::move(signature));
    } else if (chosen.size() < kKeptOfRepository &&
               signature.index.size() <= kMaxSpareIndex) {
      chosen.push_back(std::move(signature));
    }
  }
  return chosen;
}

}  // namespace

SignatureGate::SignatureGate(SignaturePolicy policy,
                             const std::string& state_dir, BlobStore* blobs)
    : policy_(std::move(policy)), kept_(state_dir), blobs_(blobs) {}

absl::Status SignatureGate::CheckKept(const Reference* name,
                                      absl::string_view digest) const {
  const SignatureRule* rule =
      name == nullptr ? policy_.Default()
                      : policy_.Find(name->registry, name->repository);
  if (rule == nullptr) return absl::OkStatus();
  return CheckSignatures(*rule, name, digest, kept_.Get(digest));
}

absl::Status SignatureGate::CheckAtRegistry(Sources& sources,
                                            const Reference& name,
                                            absl::string_view digest,
                                            const std::string& index) {
  const SignatureRule* rule = policy_.Find(name.registry, name.repository);
  if (rule == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<Signature> signatures,
                   Fetch(sources, std::string(digest)));
  absl::Status verdict = CheckSignatures(*rule, &name, digest, signatures);
  if (!verdict.ok()) {
    // Signing an index signs what it lists.
    std::string document = index;
    if (document.empty() && name.Version() != digest) {
      absl::StatusOr<registry::ManifestDocument> found =
          sources.FetchManifest(name.Version());
      if (found.ok()) {
        document = std::move(found->text);
      } else if (!absl::IsNotFound(found.status())) {
        return found.status();
      }
    }
    if (ListsManifest(document, digest)) {
      ASSIGN_OR_RETURN(std::vector<Signature> more,
                       Fetch(sources, DigestOf(document)));
      for (Signature& signature : more) {
        signature.index = document;
        signatures.push_back(std::move(signature));
      }
      verdict = CheckSignatures(*rule, &name, digest, signatures);
    }
  }
  if (!verdict.ok()) return verdict;
  return Annotate(
      kept_.Keep(digest, Choose(*rule, name, digest, std::move(signatures))),
      "keep its signatures");
}

absl::StatusOr<std::vector<Signature>> SignatureGate::Fetch(
    Sources& sources, const std::string& subject) const {
  const absl::StatusOr<registry::ManifestDocument> document =
      sources.FetchManifest(SignatureTag(subject));
  if (absl::IsNotFound(document.status())) return std::vector<Signature>();
  absl::StatusOr<std::vector<SignatureLayer>> layers =
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
  std::map<std::string, std::string> payloads;  // by digest
  std::vector<Signature> signatures;
  for (const SignatureLayer& layer : *layers) {
    auto it = payloads.find(layer.digest);
    if (it == payloads.end()) {
      if (payloads.size() >= kMaxPayloads) continue;
      absl::StatusOr<std::string> payload =
          sources.ReadBlob({kSimpleSigning, layer.digest, layer.size}, blobs_);
      // One that is gone or was altered is no signature; others may be.
      if (absl::IsNotFound(payload.status()) ||
          absl::IsDataLoss(payload.status())) {
        payload = std::string();
      }
      if (!payload.ok()) {
        return Annotate(payload.status(), "fetch its signature");
      }
      it = payloads.emplace(layer.digest, *std::move(payload)).first;
    }
    signatures.push_back({it->second, layer.signature, ""});
  }
  return signatures;
}

}  // namespace bulwark::engine::image
