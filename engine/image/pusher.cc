#include "engine/image/pusher.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/media_types.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kParallelBlobs = 3;
// Repositories that a token is asked for, to mount from them.
constexpr size_t kMostMountSources = 8;
// How often a registry may lose a layer between its arrival and the manifest.
constexpr int kMostRounds = 2;

// The blobs of these manifests that other repositories of the registry have, as
// far as names here tell: what was pulled from there, or pushed.
std::map<std::string, std::string> FindMounts(ImageStore* store,
                                              const Manifest& manifest,
                                              const Reference& target) {
  std::set<std::string> wanted;
  for (const Descriptor& layer : manifest.layers) wanted.insert(layer.digest);
  std::map<std::string, std::string> mounts;
  std::set<std::string> repositories;
  for (const Image& image : store->List()) {
    std::string repository;
    for (const std::string& name : image.references) {
      absl::StatusOr<Reference> reference = ParseReference(name);
      if (reference.ok() && reference->registry == target.registry &&
          reference->repository != target.repository) {
        repository = reference->repository;
        break;
      }
    }
    if (repository.empty()) continue;
    absl::StatusOr<std::string> text =
        store->blobs().ReadAll(image.digest, kMaxManifestBytes);
    if (!text.ok()) continue;
    absl::StatusOr<Manifest> other = ParseManifest(*text);
    if (!other.ok()) continue;
    for (const Descriptor& layer : other->layers) {
      if (wanted.count(layer.digest) == 0) continue;
      if (repositories.count(repository) == 0 &&
          repositories.size() >= kMostMountSources) {
        break;
      }
      repositories.insert(repository);
      mounts.emplace(layer.digest, repository);
    }
  }
  return mounts;
}

// One push.
class Pusher {
 public:
  Pusher(ImageStore* store, registry::RegistryClient* client,
         std::map<std::string, std::string> mounts, Reporter* reporter)
      : store_(store),
        client_(client),
        mounts_(std::move(mounts)),
        reporter_(reporter) {}

  absl::Status Run(const Manifest& manifest, const ManifestText& text,
                   const std::string& version) {
    std::set<std::string> seen;
    for (const Descriptor& layer : manifest.layers) {
      if (seen.insert(layer.digest).second) blobs_.push_back(layer);
    }
    if (seen.insert(manifest.config.digest).second) {
      blobs_.push_back(manifest.config);
    }
    absl::Status status;
    for (int round = 0; round < kMostRounds; ++round) {
      RETURN_IF_ERROR(PushBlobs());
      reporter_->Report(DigestOf(text.text), "pushing manifest");
      status = client_->PushManifest(version, text.media_type, text.text);
      if (!absl::IsAborted(status)) break;
    }
    if (absl::IsAborted(status)) {
      return absl::UnavailableError(
          absl::StrCat(status.message(), "; does it clean up? try again"));
    }
    return status;
  }

 private:
  absl::Status PushBlobs() {
    next_ = 0;
    std::vector<std::thread> threads;
    const size_t count = std::min(kParallelBlobs, blobs_.size());
    for (size_t i = 0; i + 1 < count; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(first_error_);
    return reporter_->Check();
  }

  void Work() {
    for (;;) {
      const size_t i = next_.fetch_add(1);
      if (i >= blobs_.size() || reporter_->cancelled()) return;
      absl::Status status = PushBlob(blobs_[i]);
      if (status.ok()) continue;
      absl::MutexLock lock(&mu_);
      if (first_error_.ok()) first_error_ = std::move(status);
      reporter_->Cancel();
      return;
    }
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
  std::vector<Descriptor> blobs_;
  std::atomic<size_t> next_{0};
  absl::Mutex mu_;
  absl::Status first_error_ ABSL_GUARDED_BY(mu_);
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

absl::StatusOr<std::string> Push(ImageStore* store, const Image& image,
                                 ImageFormat format, const PushTarget& target,
                                 const ProgressSink& progress) {
  ImageStore::Lease lease(store);
  lease.Hold(image.digest);
  ASSIGN_OR_RETURN(const std::string stored,
                   store->blobs().ReadAll(image.digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(stored));
  for (const Descriptor& layer : manifest.layers) lease.Hold(layer.digest);
  lease.Hold(manifest.config.digest);
  RETURN_IF_ERROR(CheckBlobs(store, manifest));
  ASSIGN_OR_RETURN(const ManifestText text, WithMediaTypes(stored, format));
  const std::string digest = DigestOf(text.text);
  const Reference& name = target.reference;
  if (!name.digest.empty() && name.digest != digest) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image has the digest ", digest,
                     ", and cannot have the one of its name"));
  }
  std::map<std::string, std::string> mounts = FindMounts(store, manifest, name);
  Reporter reporter(progress);
  registry::ClientOptions options = target.options;
  options.push = true;
  options.cancelled = [&reporter] { return reporter.cancelled(); };
  std::set<std::string> from;
  for (const auto& [blob, repository] : mounts) from.insert(repository);
  options.mount_from.assign(from.begin(), from.end());
  registry::RegistryClient client(name.registry, name.repository, target.auth,
                                  options);
  RETURN_IF_ERROR(
      Pusher(store, &client, std::move(mounts), &reporter)
          .Run(manifest, text, name.tag.empty() ? digest : name.tag));
  reporter.Report(digest, "pushed");
  return digest;
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

}  // namespace bulwark::engine::image
