#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/index_tree.h"
#include "engine/image/local_images.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"

namespace bulwark::engine {
namespace {

absl::StatusOr<std::string> DigestAt(image::Sources& sources,
                                     const image::Reference& reference) {
  ASSIGN_OR_RETURN(const registry::ManifestDocument document,
                   sources.FetchManifest(reference.Version()));
  if (!image::IsIndexType(document.media_type)) return document.digest;
  ASSIGN_OR_RETURN(const image::Platform platform, image::ParsePlatform(""));
  const auto read =
      [&sources](
          const image::Descriptor& inner) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(registry::ManifestDocument nested,
                     sources.FetchManifest(inner.digest));
    return std::move(nested.text);
  };
  ASSIGN_OR_RETURN(const image::ChosenManifest chosen,
                   image::ChooseManifest(document.text, platform, read));
  return chosen.descriptor.digest;
}

}  // namespace

absl::Status LocalImages::CheckTrust(const TrustRequest& request) {
  if (image::IsDigest(request.reference)) {
    return gate_->CheckKept(nullptr, request.digest);
  }
  ASSIGN_OR_RETURN(const image::Reference reference,
                   image::ParseReference(request.reference));
  const absl::Status kept = gate_->CheckKept(&reference, request.digest);
  if (kept.ok() || !request.ask_registry) return kept;
  registry::ClientOptions options = ClientOptions();
  if (request.wanted != nullptr) {
    options.cancelled = [&request] { return !request.wanted(); };
  }
  image::Sources sources(SourcesOf(reference, std::nullopt), options);
  return Annotate(
      gate_->CheckAtRegistry(sources, reference, request.digest, {}),
      absl::StrCat("check ", reference.ToString()));
}

absl::StatusOr<std::string> LocalImages::Lookup(absl::string_view text) {
  ASSIGN_OR_RETURN(const image::Reference reference,
                   image::ParseReference(text));
  image::Sources sources(SourcesOf(reference, std::nullopt), ClientOptions());
  absl::StatusOr<std::string> digest = DigestAt(sources, reference);
  if (digest.ok()) return digest;
  return Annotate(digest.status(),
                  absl::StrCat("look up ", reference.ToString()));
}

void LocalImages::SweepSignatures() {
  std::set<std::string> present;
  for (const Image& image : store_->List()) present.insert(image.digest);
  gate_->Sweep(present, config_.clock->Now());
}

}  // namespace bulwark::engine
