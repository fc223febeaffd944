#include "engine/image/puller.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/layer_set.h"
#include "engine/image/progress.h"
#include "engine/image/reference.h"

namespace bulwark::engine::image {
namespace {

// One pull.
class Puller {
 public:
  Puller(const PullPorts& ports, Sources* sources, Reporter* reporter)
      : ports_(ports),
        store_(ports.store),
        sources_(sources),
        reporter_(reporter),
        lease_(ports.store) {}

  absl::StatusOr<Image> Run(const Reference& reference,
                            const Platform& platform) {
    reporter_->Report(reference.ToString(), "resolving");
    const absl::Time begin = ports_.clock->Now();
    ASSIGN_OR_RETURN(registry::ManifestDocument document,
                     sources_->FetchManifest(reference.Version()));
    if (!reference.digest.empty()) lease_.Hold(reference.digest);
    bool chosen_from_index = IsIndexType(document.media_type);
    std::string index;
    if (chosen_from_index) {
      index = document.text;
      ASSIGN_OR_RETURN(document, ChooseFrom(document, platform));
    }
    lease_.Hold(document.digest);
    // Before anything of it is unpacked.
    RETURN_IF_ERROR(ports_.gate->CheckAtRegistry(*sources_, reference,
                                                 document.digest, index));
    RETURN_IF_ERROR(store_->blobs().Put(document.text).status());
    ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(document.text));
    ASSIGN_OR_RETURN(ConfigFile config, FetchConfig(manifest.config));
    if (!chosen_from_index) {
      RETURN_IF_ERROR(CheckPlatform(config.platform, platform));
    }
    RETURN_IF_ERROR(MaterializeLayers(
        store_, &lease_, manifest, config.diff_ids,
        [this](const Descriptor& blob) { return FetchBlob(blob); }, reporter_));
    return store_->Add(document.digest, {reference.ToString()}, begin);
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

  const PullPorts ports_;
  ImageStore* const store_;
  Sources* const sources_;
  Reporter* const reporter_;
  ImageStore::Lease lease_;
};

// Whether the last pull of the name is longer ago than is wanted. One in the
// future is of a clock that was wrong.
bool IsStale(const PullPorts& ports, const std::string& name,
             absl::Duration max_age) {
  if (max_age == absl::InfiniteDuration()) return false;
  const absl::Duration age = ports.clock->Now() - ports.store->PullTime(name);
  return age > max_age || age < absl::ZeroDuration();
}

bool IsUnreachable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

absl::StatusOr<Image> Pull(const PullPorts& ports, const PullRequest& request,
                           const PullOrigin& origin,
                           const ProgressSink& progress) {
  const Reference& reference = origin.reference;
  ASSIGN_OR_RETURN(Platform platform, ParsePlatform(request.platform));
  Reporter reporter(progress, request.wanted);
  registry::ClientOptions options = origin.options;
  options.cancelled = [&reporter] { return reporter.cancelled(); };
  Sources sources(origin.sources, options);
  const std::string name = reference.ToString();
  absl::StatusOr<Image> present = absl::NotFoundError("");
  if (!request.always) {
    present = ports.store->Get(name);
    if (present.ok() && !request.platform.empty() &&
        present->platform != platform.ToString()) {
      present = absl::NotFoundError("");
    }
  }
  if (present.ok() && !IsStale(ports, name, request.max_age)) {
    if (!ports.gate->CheckKept(&reference, present->digest).ok()) {
      RETURN_IF_ERROR(
          ports.gate->CheckAtRegistry(sources, reference, present->digest, ""));
    }
    return present;
  }
  absl::StatusOr<Image> image =
      Puller(ports, &sources, &reporter).Run(reference, platform);
  if (present.ok() && IsUnreachable(image.status()) &&
      ports.gate->CheckKept(&reference, present->digest).ok()) {
    LOG_WARN("a registry cannot be asked; the image that is present is used",
             {{"image", name}, {"cause", image.status()}});
    return present;
  }
  // The reference was sound; what came for it is not.
  if (absl::IsInvalidArgument(image.status())) {
    return absl::DataLossError(absl::StrCat(
        image.status().message(), "; is ", reference.registry,
        " a registry, or does a log-in page or a proxy answer in its place?"));
  }
  return image;
}

}  // namespace

absl::StatusOr<Image> PullImage(const PullPorts& ports,
                                const PullRequest& request,
                                const PullOrigin& origin,
                                const ProgressSink& progress) {
  absl::StatusOr<Image> image = Pull(ports, request, origin, progress);
  if (image.ok()) return image;
  return Annotate(image.status(),
                  absl::StrCat("pull ", origin.reference.ToString()));
}

}  // namespace bulwark::engine::image
