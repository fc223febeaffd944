#include "engine/build/image_writer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"

namespace bulwark::engine::build {
namespace {

// A base from a registry may have Docker's names for the same things, which an
// OCI manifest should not hold.
image::Descriptor WithOciType(image::Descriptor layer) {
  if (!absl::StrContains(layer.media_type, "vnd.docker.")) return layer;
  if (absl::EndsWith(layer.media_type, "gzip")) {
    layer.media_type = image::kOciLayerGzip;
  } else if (absl::EndsWith(layer.media_type, "zstd")) {
    layer.media_type = image::kOciLayerZstd;
  } else {
    layer.media_type = image::kOciLayer;
  }
  return layer;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseTags(
    const std::vector<std::string>& tags) {
  std::vector<std::string> names;
  for (const std::string& tag : tags) {
    ASSIGN_OR_RETURN(image::Reference reference, image::ParseReference(tag));
    if (!reference.digest.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tag ", tag, ": a new name cannot hold a digest"));
    }
    names.push_back(reference.ToString());
  }
  return names;
}

absl::StatusOr<Image> StoreImage(image::ImageStore* store,
                                 image::ImageStore::Lease* lease,
                                 StageImage image,
                                 const std::vector<std::string>& names) {
  image::BlobStore& blobs = store->blobs();
  image::Manifest manifest;
  image.config.diff_ids.clear();
  for (const BuiltLayer& layer : image.layers) {
    image.config.diff_ids.push_back(layer.diff_id);
    manifest.layers.push_back(WithOciType(layer.blob));
  }
  const std::string config = image::FormatConfig(image.config);
  lease->Hold(image::DigestOf(config));
  manifest.config.media_type = image::kOciConfig;
  manifest.config.size = static_cast<int64_t>(config.size());
  ASSIGN_OR_RETURN(manifest.config.digest, blobs.Put(config));
  const std::string text = image::FormatManifest(manifest);
  lease->Hold(image::DigestOf(text));
  ASSIGN_OR_RETURN(const std::string digest, blobs.Put(text));
  return store->Add(digest, names);
}

}  // namespace bulwark::engine::build
