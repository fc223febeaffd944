#include "engine/image/puller.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/layer_set.h"
#include "engine/image/progress.h"
#include "engine/image/reference.h"

namespace bulwark::engine::image {
namespace {

// One pull.
class Puller {
 public:
  Puller(ImageStore* store, Sources* sources, Reporter* reporter)
      : store_(store), sources_(sources), reporter_(reporter), lease_(store) {}

  absl::StatusOr<Image> Run(const Reference& reference,
                            const Platform& platform) {
    reporter_->Report(reference.ToString(), "resolving");
    ASSIGN_OR_RETURN(registry::ManifestDocument document,
                     sources_->FetchManifest(reference.Version()));
    if (!reference.digest.empty()) lease_.Hold(reference.digest);
    bool chosen_from_index = IsIndexType(document.media_type);
    if (chosen_from_index) {
      ASSIGN_OR_RETURN(document, ChooseFrom(document, platform));
    }
    lease_.Hold(document.digest);
    RETURN_IF_ERROR(store_->blobs().Put(document.text).status());
    ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(document.text));
    ASSIGN_OR_RETURN(ConfigFile config, FetchConfig(manifest.config));
    if (!chosen_from_index) {
      RETURN_IF_ERROR(CheckPlatform(config.platform, platform));
    }
    RETURN_IF_ERROR(MaterializeLayers(
        store_, &lease_, manifest, config.diff_ids,
        [this](const Descriptor& blob) { return FetchBlob(blob); }, reporter_));
    return store_->Add(document.digest, {reference.ToString()});
  }

 private:
  absl::StatusOr<registry::ManifestDocument> ChooseFrom(
      const registry::ManifestDocument& document, const Platform& platform) {
    ASSIGN_OR_RETURN(std::vector<IndexEntry> index, ParseIndex(document.text));
    ASSIGN_OR_RETURN(Descriptor chosen, ChoosePlatform(index, platform));
    ASSIGN_OR_RETURN(registry::ManifestDocument result,
                     sources_->FetchManifest(chosen.digest));
    if (IsIndexType(result.media_type)) {
      return absl::FailedPreconditionError(
          "the index holds another index, which is not supported");
    }
    return result;
  }

  absl::StatusOr<ConfigFile> FetchConfig(const Descriptor& descriptor) {
    lease_.Hold(descriptor.digest);
    if (!store_->blobs().Has(descriptor.digest)) {
      RETURN_IF_ERROR(FetchBlob(descriptor));
    }
    ASSIGN_OR_RETURN(std::string text, store_->blobs().ReadAll(
                                           descriptor.digest, kMaxConfigBytes));
    return ParseConfig(text);
  }

  absl::Status FetchBlob(const Descriptor& blob) {
    reporter_->Report(blob.digest, "downloading", 0, blob.size);
    return sources_->FetchBlob(
        blob, &store_->blobs(), [this, &blob](int64_t current) {
          reporter_->Report(blob.digest, "downloading", current, blob.size);
        });
  }

  // An image that comes alone may say for what it was made.
  static absl::Status CheckPlatform(const Platform& has,
                                    const Platform& wanted) {
    if (has.architecture.empty() || Runs(has, wanted)) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("there is no image for platform ",
                                            wanted.ToString(),
                                            "; available: ", has.ToString()));
  }

  ImageStore* const store_;
  Sources* const sources_;
  Reporter* const reporter_;
  ImageStore::Lease lease_;
};

absl::StatusOr<Image> Pull(ImageStore* store, const PullRequest& request,
                           const PullOrigin& origin,
                           const ProgressSink& progress) {
  const Reference& reference = origin.reference;
  ASSIGN_OR_RETURN(Platform platform, ParsePlatform(request.platform));
  if (!request.always) {
    absl::StatusOr<Image> present = store->Get(reference.ToString());
    bool fits = request.platform.empty() ||
                (present.ok() && present->platform == platform.ToString());
    if (present.ok() && fits) return present;
  }
  Reporter reporter(progress, request.wanted);
  registry::ClientOptions options = origin.options;
  options.cancelled = [&reporter] { return reporter.cancelled(); };
  Sources sources(origin.sources, options);
  absl::StatusOr<Image> image =
      Puller(store, &sources, &reporter).Run(reference, platform);
  // The reference was sound; what came for it is not.
  if (absl::IsInvalidArgument(image.status())) {
    return absl::DataLossError(absl::StrCat(
        image.status().message(), "; is ", reference.registry,
        " a registry, or does a log-in page or a proxy answer in its place?"));
  }
  return image;
}

}  // namespace

absl::StatusOr<Image> PullImage(ImageStore* store, const PullRequest& request,
                                const PullOrigin& origin,
                                const ProgressSink& progress) {
  absl::StatusOr<Image> image = Pull(store, request, origin, progress);
  if (image.ok()) return image;
  return Annotate(image.status(),
                  absl::StrCat("pull ", origin.reference.ToString()));
}

}  // namespace bulwark::engine::image
