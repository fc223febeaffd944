// What images consist of, and whether it is whole.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/local_images.h"
#include "engine/image/manifest.h"
#include "engine/image/verifier.h"

namespace bulwark::engine {
namespace {

absl::Time ParseCreated(const std::string& text) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, text, &time, &error)
             ? time
             : absl::UnixEpoch();
}

// Which entry made which layer: those that made one, in order. Layers that the
// history does not explain come last.
std::vector<ImageHistoryEntry> HistoryOf(
    const std::vector<image::HistoryEntry>& history,
    const std::vector<ImageLayer>& layers) {
  std::vector<ImageHistoryEntry> result;
  size_t next = 0;
  for (const image::HistoryEntry& entry : history) {
    ImageHistoryEntry& item = result.emplace_back();
    item.create_time = ParseCreated(entry.created);
    item.created_by = entry.created_by;
    item.comment = entry.comment;
    if (!entry.empty_layer && next < layers.size()) {
      item.layer = layers[next++];
    }
  }
  for (; next < layers.size(); ++next) {
    ImageHistoryEntry& item = result.emplace_back();
    item.create_time = absl::UnixEpoch();
    item.layer = layers[next];
  }
  return result;
}

}  // namespace

absl::StatusOr<ImageDocuments> LocalImages::Documents(
    absl::string_view reference) {
  ImageDocuments result;
  image::ImageStore::Lease lease(store_.get());
  absl::StatusOr<Image> image = Get(reference);
  const absl::StatusOr<std::string> source = SourceOf(reference);
  image::BlobStore& blobs = store_->blobs();
  const auto read = [&](const std::string& digest, int64_t max_bytes,
                        std::string& text) -> absl::Status {
    absl::StatusOr<std::string> data = blobs.ReadAll(digest, max_bytes);
    if (data.ok()) {
      text = *std::move(data);
      return absl::OkStatus();
    }
    return absl::DataLossError(
        absl::StrCat("inspect image ", reference, ": ", data.status().message(),
                     "; `ctl verify --repair` fetches it again"));
  };
  if (source.ok() && (!image.ok() || *source != image->digest)) {
    lease.Hold(*source);
    const absl::Status readable =
        read(*source, image::kMaxManifestBytes, result.index);
    // An image does not need it to run, and is told without it.
    if (!image.ok()) RETURN_IF_ERROR(readable);
  }
  if (!image.ok() && !result.index.empty()) {
    for (Image& other : store_->List()) {
      if (other.is_index && other.digest == *source) {
        result.image = std::move(other);
        return result;
      }
    }
  }
  RETURN_IF_ERROR(image.status());
  result.image = *std::move(image);
  lease.Hold(result.image.digest);
  ASSIGN_OR_RETURN(result.image, store_->Get(result.image.digest));
  RETURN_IF_ERROR(
      read(result.image.digest, image::kMaxManifestBytes, result.manifest));
  RETURN_IF_ERROR(
      read(result.image.config_digest, image::kMaxConfigBytes, result.config));
  ASSIGN_OR_RETURN(const image::Manifest manifest,
                   image::ParseManifest(result.manifest));
  ASSIGN_OR_RETURN(const image::ConfigFile config,
                   image::ParseConfig(result.config));
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const image::Descriptor& layer = manifest.layers[i];
    result.layers.push_back(
        {layer.digest,
         i < config.diff_ids.size() ? config.diff_ids[i] : std::string(),
         layer.media_type, layer.size});
  }
  result.history = HistoryOf(config.history, result.layers);
  return result;
}

absl::StatusOr<std::vector<ImageDamage>> LocalImages::Verify(
    const VerifyRequest& request, const VerifyProgress& progress) {
  image::VerifyOptions options;
  for (const std::string& reference : request.references) {
    const absl::StatusOr<Image> image = Get(reference);
    const absl::StatusOr<std::string> source = SourceOf(reference);
    if (!source.ok()) RETURN_IF_ERROR(image.status());
    if (image.ok()) options.digests.push_back(image->digest);
    if (source.ok()) options.digests.push_back(*source);
  }
  if (request.repair) {
    options.fetch = [this](const image::Repair& repair) {
      PullRequest pull;
      pull.reference = repair.reference;
      pull.all_platforms = repair.all_platforms;
      pull.platform = repair.platform;
      pull.always = true;
      return Pull(pull, nullptr).status();
    };
  }
  return image::VerifyStore(store_.get(), options, progress);
}

}  // namespace bulwark::engine
