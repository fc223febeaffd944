#include "engine/image/pusher.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/blob_pool.h"
#include "engine/image/index_content.h"
#include "engine/image/media_types.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {
namespace {

// Repositories that a token is asked for, to mount from them.
constexpr size_t kMostMountSources = 8;
// How often a registry may lose a layer between its arrival and the manifest.
constexpr int kMostRounds = 2;

// Blobs that other repositories of the registry have, as far as names here
// tell: what was pulled from there, or pushed.
class MountFinder {
 public:
  MountFinder(const std::map<std::string, Descriptor>& wanted,
              const Reference& target)
      : wanted_(wanted), target_(target) {}

  // What has these names has these blobs.
  void Add(const std::vector<std::string>& names,
           const std::vector<std::string>& blobs) {
    std::string repository;
    for (const std::string& name : names) {
      const absl::StatusOr<Reference> reference = ParseReference(name);
      if (reference.ok() && reference->registry == target_.registry &&
          reference->repository != target_.repository) {
        repository = reference->repository;
        break;
      }
    }
    if (repository.empty()) return;
    for (const std::string& blob : blobs) {
      if (wanted_.count(blob) == 0) continue;
      if (repositories_.count(repository) == 0 &&
          repositories_.size() >= kMostMountSources) {
        return;
      }
      repositories_.insert(repository);
      mounts_.emplace(blob, repository);
    }
  }

  std::map<std::string, std::string> Take() { return std::move(mounts_); }

 private:
  const std::map<std::string, Descriptor>& wanted_;
  const Reference& target_;
  std::map<std::string, std::string> mounts_;
  std::set<std::string> repositories_;
};

std::map<std::string, std::string> FindMounts(
    ImageStore* store, const std::map<std::string, Descriptor>& wanted,
    const Reference& target) {
  MountFinder finder(wanted, target);
  for (const Image& image : store->List()) {
    const auto layers = store->LayersOf(image.digest);
    if (!layers.ok()) continue;
    std::vector<std::string> blobs;
    for (const LayerParts& layer : *layers) blobs.push_back(layer.blob);
    finder.Add(image.references, blobs);
  }
  for (const NamedIndex& index : store->Indexes()) {
    if (index.index.documents.empty()) continue;
    finder.Add(index.names,
               {index.index.content.begin(), index.index.content.end()});
  }
  return finder.Take();
}

// A manifest or index on its way.
struct Outgoing {
  std::string version;  // the tag or digest to store it under
  std::string media_type;
  std::string digest;
  std::string text;  // empty: as it is in the store
};

// One push.
class Pusher {
 public:
  Pusher(ImageStore* store, registry::RegistryClient* client,
         std::map<std::string, std::string> mounts, Reporter* reporter)
      : store_(store),
        client_(client),
        mounts_(std::move(mounts)),
        reporter_(reporter) {}

  // The documents in this order, when all blobs are there.
  absl::Status Run(const std::map<std::string, Descriptor>& blobs,
                   const std::vector<Outgoing>& documents) {
    std::vector<Descriptor> list;
    for (const auto& [digest, blob] : blobs) list.push_back(blob);
    absl::Status status;
    for (int round = 0; round < kMostRounds; ++round) {
      RETURN_IF_ERROR(ForEachBlob(
          list, reporter_,
          [this](const Descriptor& blob) { return PushBlob(blob); }));
      status = PushDocuments(documents);
      if (!absl::IsAborted(status)) break;
    }
    if (absl::IsAborted(status)) {
      return absl::UnavailableError(
          absl::StrCat(status.message(), "; does it clean up? try again"));
    }
    return status;
  }

 private:
  absl::Status PushDocuments(const std::vector<Outgoing>& documents) {
    for (const Outgoing& document : documents) {
      RETURN_IF_ERROR(reporter_->Check());
      std::string text = document.text;
      if (text.empty()) {
        ASSIGN_OR_RETURN(
            text, store_->blobs().ReadAll(document.digest, kMaxManifestBytes));
      }
      reporter_->Report(document.digest, "pushing manifest");
      RETURN_IF_ERROR(
          client_->PushManifest(document.version, document.media_type, text));
    }
    return absl::OkStatus();
  }

  absl::Status PushBlob(const Descriptor& blob) {
    ASSIGN_OR_RETURN(const UniqueFd fd, store_->blobs().Read(blob.digest));
    const auto mount = mounts_.find(blob.digest);
    reporter_->Report(blob.digest, "waiting", 0, blob.size);
    absl::StatusOr<registry::BlobOutcome> outcome = client_->PushBlob(
        {blob, fd.get(), mount == mounts_.end() ? "" : mount->second},
        [this, &blob](int64_t current) {
          reporter_->Report(blob.digest, "uploading", current, blob.size);
        });
    if (absl::IsDataLoss(outcome.status())) {
      // Is it ours that rotted? Then it goes, and the next pull heals it.
      RETURN_IF_ERROR_CTX(store_->blobs().Verify(blob.digest),
                          "pull or build the image again");
    }
    RETURN_IF_ERROR(outcome.status());
    const char* status = *outcome == registry::BlobOutcome::kPresent ? "present"
                         : *outcome == registry::BlobOutcome::kMounted
                             ? "mounted"
                             : "done";
    reporter_->Report(blob.digest, status, blob.size, blob.size);
    return absl::OkStatus();
  }

  ImageStore* const store_;
  registry::RegistryClient* const client_;
  const std::map<std::string, std::string> mounts_;
  Reporter* const reporter_;
};

// The manifest promises sizes, and a store may have lost something.
absl::Status CheckBlobs(ImageStore* store, const Manifest& manifest) {
  std::vector<Descriptor> blobs = manifest.layers;
  blobs.push_back(manifest.config);
  for (const Descriptor& blob : blobs) {
    const absl::StatusOr<int64_t> size = store->blobs().Size(blob.digest);
    if (!size.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its blob ", blob.digest,
          " is not in the store any more; pull or build the image again"));
    }
    if (*size != blob.size) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its blob ", blob.digest, " has ", *size, " bytes, not the ",
          blob.size, " that the manifest says; pull or build the image again"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDigest(const Reference& name, const std::string& digest) {
  if (name.digest.empty() || name.digest == digest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the image has the digest ", digest,
                   ", and cannot have the one of its name"));
}

// The last document is what the name is to stand for.
absl::StatusOr<std::string> Send(ImageStore* store, const PushTarget& target,
                                 const std::map<std::string, Descriptor>& blobs,
                                 std::vector<Outgoing> documents,
                                 const ProgressSink& progress) {
  const Reference& name = target.reference;
  const std::string digest = documents.back().digest;
  RETURN_IF_ERROR(CheckDigest(name, digest));
  for (Outgoing& document : documents) document.version = document.digest;
  if (!name.tag.empty()) documents.back().version = name.tag;
  std::map<std::string, std::string> mounts = FindMounts(store, blobs, name);
  Reporter reporter(progress);
  registry::ClientOptions options = target.options;
  options.push = true;
  options.cancelled = [&reporter] { return reporter.cancelled(); };
  std::set<std::string> from;
  for (const auto& [blob, repository] : mounts) from.insert(repository);
  options.mount_from.assign(from.begin(), from.end());
  registry::RegistryClient client(name.registry, name.repository, target.auth,
                                  options);
  RETURN_IF_ERROR(Pusher(store, &client, std::move(mounts), &reporter)
                      .Run(blobs, documents));
  reporter.Report(digest, "pushed");
  return digest;
}

absl::StatusOr<std::string> Push(ImageStore* store, const Image& image,
                                 ImageFormat format, const PushTarget& target,
                                 const ProgressSink& progress) {
  ImageStore::Lease lease(store);
  lease.Hold(image.digest);
  ASSIGN_OR_RETURN(const std::string stored,
                   store->blobs().ReadAll(image.digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(stored));
  std::map<std::string, Descriptor> blobs;
  for (const Descriptor& layer : manifest.layers) {
    blobs.emplace(layer.digest, layer);
  }
  blobs.emplace(manifest.config.digest, manifest.config);
  for (const auto& [digest, blob] : blobs) lease.Hold(digest);
  RETURN_IF_ERROR(CheckBlobs(store, manifest));
  ASSIGN_OR_RETURN(ManifestText text, WithMediaTypes(stored, format));
  const std::string digest = DigestOf(text.text);
  return Send(store, target, blobs,
              {{"", text.media_type, digest, std::move(text.text)}}, progress);
}

absl::StatusOr<std::string> PushAll(ImageStore* store,
                                    const std::string& document,
                                    const std::string& name,
                                    const PushTarget& target,
                                    const ProgressSink& progress) {
  ImageStore::Lease lease(store);
  ASSIGN_OR_RETURN(const IndexTree tree,
                   HoldTree(store, &lease, document, name));
  std::vector<Outgoing> documents;
  for (const IndexNode& node : tree.nodes) {
    documents.push_back(
        {"", node.descriptor.media_type, node.descriptor.digest, ""});
  }
  return Send(store, target, tree.blobs, std::move(documents), progress);
}

}  // namespace

absl::StatusOr<std::string> PushImage(ImageStore* store, const Image& image,
                                      ImageFormat format,
                                      const PushTarget& target,
                                      const ProgressSink& progress) {
  absl::StatusOr<std::string> digest =
      Push(store, image, format, target, progress);
  if (digest.ok()) return digest;
  return Annotate(digest.status(),
                  absl::StrCat("push ", target.reference.ToString()));
}

absl::StatusOr<std::string> PushTree(ImageStore* store,
                                     const std::string& document,
                                     const std::string& name,
                                     const PushTarget& target,
                                     const ProgressSink& progress) {
  absl::StatusOr<std::string> digest =
      PushAll(store, document, name, target, progress);
  if (digest.ok()) return digest;
  return Annotate(digest.status(),
                  absl::StrCat("push ", target.reference.ToString()));
}

}  // namespace bulwark::engine::image
