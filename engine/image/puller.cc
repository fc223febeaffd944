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
  Puller(ImageStore* store, registry::RegistryClient* client,
         Reporter* reporter)
      : store_(store), client_(client), reporter_(reporter), lease_(store) {}

  absl::StatusOr<Image> Run(const Reference& reference,
                            const Platform& platform) {
    reporter_->Report(reference.ToString(), "resolving");
    ASSIGN_OR_RETURN(registry::ManifestDocument document,
                     FetchManifest(reference.Version()));
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
  absl::StatusOr<registry::ManifestDocument> FetchManifest(
      const std::string& version) {
    absl::StatusOr<registry::ManifestDocument> document =
        client_->FetchManifest(version);
    // It is the registry that has too much, not we that have too little.
    if (absl::IsResourceExhausted(document.status())) {
      return absl::DataLossError(document.status().message());
    }
    return document;
  }

  absl::StatusOr<registry::ManifestDocument> ChooseFrom(
      const registry::ManifestDocument& document, const Platform& platform) {
    ASSIGN_OR_RETURN(std::vector<IndexEntry> index, ParseIndex(document.text));
    ASSIGN_OR_RETURN(Descriptor chosen, ChoosePlatform(index, platform));
    ASSIGN_OR_RETURN(registry::ManifestDocument result,
                     FetchManifest(chosen.digest));
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
    ASSIGN_OR_RETURN(std::unique_ptr<Ingest> ingest,
                     store_->blobs().NewIngest());
    reporter_->Report(blob.digest, "downloading", 0, blob.size);
    RETURN_IF_ERROR(
        client_->FetchBlob(blob, ingest.get(), [this, &blob](int64_t current) {
          reporter_->Report(blob.digest, "downloading", current, blob.size);
        }));
    return Annotate(ingest->Commit(blob.digest),
                    absl::StrCat("fetch ", blob.digest));
  }

  // An image that comes alone may say for what it was made.
  static absl::Status CheckPlatform(const Platform& has,
                                    const Platform& wanted) {
    if (has.architecture.empty() ||
        (has.architecture == wanted.architecture && has.os == wanted.os)) {
      return absl::OkStatus();
    }
    return absl::NotFoundError(absl::StrCat("there is no image for platform ",
                                            wanted.ToString(),
                                            "; available: ", has.ToString()));
  }

  ImageStore* const store_;
  registry::RegistryClient* const client_;
  Reporter* const reporter_;
  ImageStore::Lease lease_;
};

absl::StatusOr<Image> Pull(ImageStore* store, const Reference& reference,
                           const PullRequest& request,
                           registry::ClientOptions options,
                           const ProgressSink& progress) {
  ASSIGN_OR_RETURN(Platform platform, ParsePlatform(request.platform));
  if (!request.always) {
    absl::StatusOr<Image> present = store->Get(reference.ToString());
    bool fits = request.platform.empty() ||
                (present.ok() && present->platform == platform.ToString());
    if (present.ok() && fits) return present;
  }
  Reporter reporter(progress, request.wanted);
  options.cancelled = [&reporter] { return reporter.cancelled(); };
  registry::RegistryClient client(reference.registry, reference.repository,
                                  request.auth, options);
  absl::StatusOr<Image> image =
      Puller(store, &client, &reporter).Run(reference, platform);
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
                                const registry::ClientOptions& options,
                                const ProgressSink& progress) {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(request.reference));
  absl::StatusOr<Image> image =
      Pull(store, reference, request, options, progress);
  if (image.ok()) return image;
  return Annotate(image.status(), absl::StrCat("pull ", reference.ToString()));
}

}  // namespace bulwark::engine::image
