#include "engine/image/layer_set.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kParallelLayers = 3;

// The work on one image, shared by its threads.
class LayerSet {
 public:
  LayerSet(ImageStore* store, const Manifest& manifest,
           const std::vector<std::string>& diff_ids, const BlobFetcher& fetch,
           Reporter* reporter)
      : store_(store),
        manifest_(manifest),
        diff_ids_(diff_ids),
        chain_ids_(ChainIds(diff_ids)),
        fetch_(fetch),
        reporter_(reporter),
        pending_(diff_ids.size()) {}

  absl::Status Run() {
    std::vector<std::thread> threads;
    size_t count = std::min(kParallelLayers, diff_ids_.size());
    for (size_t i = 0; i + 1 < count; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(first_error_);
    RETURN_IF_ERROR(reporter_->Check());
    return CommitPending();
  }

 private:
  void Work() {
    for (;;) {
      size_t i = next_.fetch_add(1);
      if (i >= diff_ids_.size() || reporter_->cancelled()) return;
      absl::Status status = Materialize(i);
      if (status.ok()) continue;
      absl::MutexLock lock(&mu_);
      if (first_error_.ok()) {
        first_error_ = Annotate(
            status, absl::StrCat("layer ", i + 1, " of ", diff_ids_.size()));
      }
      reporter_->Cancel();
      return;
    }
  }

  absl::Status Materialize(size_t i) {
    const Descriptor& blob = manifest_.layers[i];
    // By blob and by layer: two images may share either.
    ImageStore::Claim claim(store_, blob.digest);
    RETURN_IF_ERROR(reporter_->Check());
    bool has_blob = store_->blobs().Has(blob.digest);
    bool unpacked = !store_->layers().Find(diff_ids_[i], chain_ids_[i]).empty();
    if (has_blob && unpacked) {
      reporter_->Report(blob.digest, "present", blob.size, blob.size);
      return absl::OkStatus();
    }
    if (!has_blob) RETURN_IF_ERROR(fetch_(blob));
    if (!unpacked) {
      absl::Status status = Unpack(i);
      // Was it the blob from an earlier time that rotted?
      if (absl::IsDataLoss(status) && has_blob &&
          !store_->blobs().Verify(blob.digest).ok()) {
        RETURN_IF_ERROR(fetch_(blob));
        status = Unpack(i);
      }
      RETURN_IF_ERROR(status);
    }
    reporter_->Report(blob.digest, "done", blob.size, blob.size);
    return absl::OkStatus();
  }

  absl::Status Unpack(size_t i) {
    const Descriptor& blob = manifest_.layers[i];
    reporter_->Report(blob.digest, "unpacking", 0, blob.size);
    ASSIGN_OR_RETURN(UniqueFd fd, store_->blobs().Read(blob.digest));
    ASSIGN_OR_RETURN(
        std::unique_ptr<PendingLayer> layer,
        store_->layers().Unpack(std::make_unique<FdSource>(std::move(fd)),
                                diff_ids_[i], UnpackLimits(),
                                [this] { return reporter_->cancelled(); }));
    if (layer->independent()) {
      return store_->layers()
          .Commit(std::move(layer), chain_ids_[i], {})
          .status();
    }
    absl::MutexLock lock(&mu_);
    pending_[i] = std::move(layer);
    return absl::OkStatus();
  }

  // Layers that take attributes from those below come last, in order.
  absl::Status CommitPending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::vector<std::string> below;
    for (size_t i = 0; i < diff_ids_.size(); ++i) {
      if (pending_[i] != nullptr) {
        RETURN_IF_ERROR(
            store_->layers()
                .Commit(std::move(pending_[i]), chain_ids_[i], below)
                .status());
      }
      below.push_back(store_->layers().Find(diff_ids_[i], chain_ids_[i]));
    }
    return absl::OkStatus();
  }

  ImageStore* const store_;
  const Manifest& manifest_;
  const std::vector<std::string>& diff_ids_;
  const std::vector<std::string> chain_ids_;
  const BlobFetcher& fetch_;
  Reporter* const reporter_;
  std::atomic<size_t> next_{0};
  absl::Mutex mu_;
  absl::Status first_error_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<PendingLayer>> pending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status MaterializeLayers(ImageStore* store, ImageStore::Lease* lease,
                               const Manifest& manifest,
                               const std::vector<std::string>& diff_ids,
                               const BlobFetcher& fetch, Reporter* reporter) {
  if (manifest.layers.size() != diff_ids.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the manifest has ", manifest.layers.size(),
                     " layers, but the configuration names ", diff_ids.size()));
  }
  for (const Descriptor& layer : manifest.layers) lease->Hold(layer.digest);
  for (const std::string& id : diff_ids) lease->Hold(id);
  for (const std::string& id : ChainIds(diff_ids)) lease->Hold(id);
  return LayerSet(store, manifest, diff_ids, fetch, reporter).Run();
}

}  // namespace bulwark::engine::image
