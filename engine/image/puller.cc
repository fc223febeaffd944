#include "engine/image/puller.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/blob_pool.h"
#include "engine/image/index_tree.h"
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
                            const PullRequest& request,
                            const Platform& platform) {
    reporter_->Report(reference.ToString(), "resolving");
    ImageStore::Source source;
    source.pulled = ports_.clock->Now();
    ASSIGN_OR_RETURN(registry::ManifestDocument document,
                     sources_->FetchManifest(reference.Version()));
    if (!reference.digest.empty()) lease_.Hold(reference.digest);
    source.document = document.digest;
    lease_.Hold(document.digest);
    std::vector<std::string> indexes;  // that lead to the manifest
    bool runs = true;
    if (IsIndexType(document.media_type)) {
      RETURN_IF_ERROR(store_->blobs().Put(document.text).status());
      if (request.all_platforms) RETURN_IF_ERROR(ReadTree(document));
      absl::StatusOr<ChosenManifest> chosen = ChooseManifest(
          document.text, platform,
          [this](const Descriptor& inner) { return ReadDocument(inner); });
      // To be kept it need not be for this host.
      runs = !absl::IsNotFound(chosen.status()) || !request.all_platforms ||
             !request.platform.empty();
      if (runs) {
        RETURN_IF_ERROR(chosen.status());
        indexes = std::move(chosen->indexes);
        ASSIGN_OR_RETURN(document, FetchChosen(chosen->descriptor));
      }
    }
    // Before anything of it is unpacked.
    RETURN_IF_ERROR(ports_.gate->CheckAtRegistry(*sources_, reference,
                                                 document.digest, indexes));
    if (runs) RETURN_IF_ERROR(FetchImage(document, indexes.empty(), platform));
    RETURN_IF_ERROR(FetchBlobs());
    for (const IndexNode& node : tree_.nodes) {
      if (node.descriptor.digest != source.document) {
        source.kept.insert(node.descriptor.digest);
      }
    }
    const std::vector<std::string> names = {reference.ToString()};
    return runs ? store_->Add(document.digest, names, source)
                : store_->AddIndex(names, source);
  }

 private:
  absl::StatusOr<registry::ManifestDocument> FetchChosen(
      const Descriptor& chosen) {
    lease_.Hold(chosen.digest);
    registry::ManifestDocument result;
    if (tree_.nodes.empty()) {
      ASSIGN_OR_RETURN(result, sources_->FetchManifest(chosen.digest));
    } else {
      result.digest = chosen.digest;
      ASSIGN_OR_RETURN(result.text, ReadDocument(chosen));
      ASSIGN_OR_RETURN(result.media_type,
                       DocumentType(result.text, chosen.media_type));
    }
    if (IsIndexType(result.media_type)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the index says that ", chosen.digest,
                       " is a manifest, but it is an", " index"));
    }
    return result;
  }

  // Makes the image that runs here present.
  absl::Status FetchImage(const registry::ManifestDocument& document,
                          bool alone, const Platform& platform) {
    RETURN_IF_ERROR(store_->blobs().Put(document.text).status());
    ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(document.text));
    ASSIGN_OR_RETURN(ConfigFile config, FetchConfig(manifest.config));
    if (alone) RETURN_IF_ERROR(CheckPlatform(config.platform, platform));
    return MaterializeLayers(
        store_, &lease_, manifest, config.diff_ids,
        [this](const Descriptor& blob) { return FetchBlob(blob); }, reporter_);
  }

  // A document that an index lists; it is in the store then.
  absl::StatusOr<std::string> ReadDocument(const Descriptor& document) {
    RETURN_IF_ERROR(reporter_->Check());
    lease_.Hold(document.digest);
    if (store_->blobs().Has(document.digest)) {
      absl::StatusOr<std::string> text =
          store_->blobs().ReadAll(document.digest, kMaxManifestBytes);
      // One that has rotted is fetched again.
      if (text.ok()) return text;
    }
    absl::StatusOr<registry::ManifestDocument> fetched =
        sources_->FetchManifest(document.digest);
    if (absl::IsNotFound(fetched.status())) {
      return absl::DataLossError(absl::StrCat(
          "the index lists ", document.digest,
          ", which the registry has not: ", fetched.status().message()));
    }
    RETURN_IF_ERROR(fetched.status());
    RETURN_IF_ERROR(store_->blobs().Put(fetched->text).status());
    return std::move(fetched->text);
  }

  absl::Status ReadTree(const registry::ManifestDocument& index) {
    reporter_->Report(index.digest, "reading index");
    int64_t read = 0;
    const Descriptor root = {index.media_type, index.digest,
                             static_cast<int64_t>(index.text.size())};
    ASSIGN_OR_RETURN(tree_, ReadIndexTree(root, [&](const Descriptor& inner) {
                       if (inner.digest == root.digest) {
                         return absl::StatusOr<std::string>(index.text);
                       }
                       // That the caller has gone is seen by a report alone.
                       reporter_->Report(index.digest, "reading index", read);
                       read += inner.size;
                       return ReadDocument(inner);
                     }));
    for (const auto& [digest, blob] : tree_.blobs) lease_.Hold(digest);
    return absl::OkStatus();
  }

  // All that is not here yet of the tree.
  absl::Status FetchBlobs() {
    std::vector<Descriptor> blobs;
    for (const auto& [digest, blob] : tree_.blobs) blobs.push_back(blob);
    // The largest first: it would keep one connection busy alone at the end.
    std::stable_sort(blobs.begin(), blobs.end(),
                     [](const Descriptor& a, const Descriptor& b) {
                       return a.size > b.size;
                     });
    return ForEachBlob(blobs, reporter_, [this](const Descriptor& blob) {
      const ImageStore::Claim claim(store_, blob.digest);
      const absl::StatusOr<int64_t> size = store_->blobs().Size(blob.digest);
      if (!size.ok()) return FetchBlob(blob);
      if (*size != blob.size) {
        return absl::DataLossError(absl::StrCat(
            "blob ", blob.digest, " has ", *size, " bytes, not the ", blob.size,
            " that its manifest says"));
      }
      reporter_->Report(blob.digest, "present", blob.size, blob.size);
      return absl::OkStatus();
    });
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
  IndexTree tree_;  // empty unless all platforms are wanted
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
  if (!request.always && !request.all_platforms) {
    present = ports.store->Get(name);
    if (present.ok() && !request.platform.empty() &&
        present->platform != platform.ToString()) {
      present = absl::NotFoundError("");
    }
  }
  if (present.ok() && !IsStale(ports, name, request.max_age)) {
    if (!ports.gate->CheckKept(&reference, present->digest).ok()) {
      RETURN_IF_ERROR(
          ports.gate->CheckAtRegistry(sources, reference, present->digest, {}));
    }
    return present;
  }
  absl::StatusOr<Image> image =
      Puller(ports, &sources, &reporter).Run(reference, request, platform);
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
