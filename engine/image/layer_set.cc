#include "engine/image/layer_set.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "engine/image/unpack.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kParallelLayers = 3;
constexpr int kReadsPerReport = 64;  // a few MiB of a tar

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
        order_(diff_ids.size()),
        pending_(diff_ids.size()) {
    // The largest first: it would keep one thread busy alone at the end.
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::stable_sort(order_.begin(), order_.end(), [this](size_t a, size_t b) {
      return manifest_.layers[a].size > manifest_.layers[b].size;
    });
  }

  absl::Status Run() {
    std::thread flusher([this] { FlushLoop(); });
    std::vector<std::thread> threads;
    size_t count = std::min(kParallelLayers, diff_ids_.size());
    for (size_t i = 0; i + 1 < count; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    {
      absl::MutexLock lock(&mu_);
      unpacked_all_ = true;
    }
    flusher.join();
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(first_error_);
    RETURN_IF_ERROR(reporter_->Check());
    return CommitPending();
  }

 private:
  void Work() {
    for (;;) {
      const size_t turn = next_.fetch_add(1);
      if (turn >= order_.size() || reporter_->cancelled()) return;
      const size_t i = order_[turn];
      absl::Status status = Materialize(i);
      if (status.ok()) continue;
      Fail(i, status);
      return;
    }
  }

  void Fail(size_t i, const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    if (first_error_.ok()) {
      first_error_ = Annotate(
          status, absl::StrCat("layer ", i + 1, " of ", diff_ids_.size()));
    }
    reporter_->Cancel();
  }

  // A layer that is unpacked, and waits to be flushed and named.
  struct Unpacked {
    size_t number;
    std::unique_ptr<PendingLayer> layer;
    // Others that want it wait until it is there. The flusher waits for none,
    // so it does no harm that one image holds several.
    std::unique_ptr<ImageStore::Claim> claim;
  };

  // Flushes what is unpacked while the other threads unpack more: one flush for
  // all that has come meanwhile.
  void FlushLoop() {
    const auto wake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return unpacked_all_ || !unpacked_.empty();
    };
    for (;;) {
      std::vector<Unpacked> batch;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(&wake));
        batch.swap(unpacked_);
        if (batch.empty()) return;
      }
      const size_t first = batch[0].number;
      const absl::Status status = PlaceAll(std::move(batch));
      if (!status.ok()) Fail(first, status);
    }
  }

  absl::Status PlaceAll(std::vector<Unpacked> batch) {
    // Nobody waits for an image that has failed.
    RETURN_IF_ERROR(reporter_->Check());
    RETURN_IF_ERROR(store_->layers().Flush());
    for (Unpacked& one : batch) {
      const Descriptor& blob = manifest_.layers[one.number];
      RETURN_IF_ERROR(store_->layers()
                          .Place(std::move(one.layer), chain_ids_[one.number])
                          .status());
      reporter_->Report(blob.digest, "done", blob.size, blob.size);
    }
    return store_->layers().FlushNames();
  }

  absl::Status Materialize(size_t i) {
    const Descriptor& blob = manifest_.layers[i];
    // By blob and by layer: two images may share either.
    auto claim = std::make_unique<ImageStore::Claim>(store_, blob.digest);
    RETURN_IF_ERROR(reporter_->Check());
    bool has_blob = store_->blobs().Has(blob.digest);
    bool unpacked = !store_->layers().Find(diff_ids_[i], chain_ids_[i]).empty();
    if (!has_blob) RETURN_IF_ERROR(fetch_(blob));
    const auto use = [&] { return unpacked ? Compare(i) : Unpack(i, claim); };
    absl::Status status = use();
    // Was it the blob from an earlier time that rotted?
    if (absl::IsDataLoss(status) && has_blob &&
        !store_->blobs().Verify(blob.digest).ok()) {
      RETURN_IF_ERROR(fetch_(blob));
      status = use();
    }
    if (status.ok() && unpacked) {
      reporter_->Report(blob.digest, has_blob ? "present" : "done", blob.size,
                        blob.size);
    }
    return status;
  }

  // A layer that is here is not unpacked again. That the blob holds it has to
  // be seen otherwise: else the image is another one wherever it is sent.
  absl::Status Compare(size_t i) {
    const Descriptor& blob = manifest_.layers[i];
    if (store_->Holds(blob.digest, diff_ids_[i])) return absl::OkStatus();
    ASSIGN_OR_RETURN(UniqueFd fd, store_->blobs().Read(blob.digest));
    const auto cancelled = Asked(blob, fd.get());
    ASSIGN_OR_RETURN(
        const std::unique_ptr<Decompressor> tar,
        NewDecompressor(std::make_unique<FdSource>(std::move(fd))));
    return CheckDiffId(tar.get(), diff_ids_[i], UnpackLimits(), cancelled);
  }

  // Whether to go on reading `fd`. Reports now and then, since whoever waits
  // can say only in answer that nobody does any more.
  std::function<bool()> Asked(const Descriptor& blob, int fd) {
    return [this, &blob, fd, calls = 0]() mutable {
      if (++calls % kReadsPerReport == 0) {
        reporter_->Report(blob.digest, "unpacking", lseek(fd, 0, SEEK_CUR),
                          blob.size);
      }
      return reporter_->cancelled();
    };
  }

  absl::Status Unpack(size_t i, std::unique_ptr<ImageStore::Claim>& claim) {
    const Descriptor& blob = manifest_.layers[i];
    reporter_->Report(blob.digest, "unpacking", 0, blob.size);
    ASSIGN_OR_RETURN(UniqueFd fd, store_->blobs().Read(blob.digest));
    const auto cancelled = Asked(blob, fd.get());
    ASSIGN_OR_RETURN(
        std::unique_ptr<PendingLayer> layer,
        store_->layers().Unpack(std::make_unique<FdSource>(std::move(fd)),
                                diff_ids_[i], UnpackLimits(), cancelled));
    absl::MutexLock lock(&mu_);
    if (layer->independent()) {
      unpacked_.push_back({i, std::move(layer), std::move(claim)});
    } else {
      pending_[i] = std::move(layer);
    }
    return absl::OkStatus();
  }

  // Layers that take attributes from those below come last, in order.
  absl::Status CommitPending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    LayerStore& layers = store_->layers();
    std::vector<std::string> below;
    bool any = false;
    for (size_t i = 0; i < diff_ids_.size(); ++i) {
      if (pending_[i] == nullptr) {
        below.push_back(layers.Find(diff_ids_[i], chain_ids_[i]));
        continue;
      }
      any = true;
      RETURN_IF_ERROR(LayerStore::Settle(*pending_[i], below));
      below.push_back(pending_[i]->directory());
    }
    if (!any) return absl::OkStatus();
    RETURN_IF_ERROR(layers.Flush());
    for (size_t i = 0; i < diff_ids_.size(); ++i) {
      if (pending_[i] == nullptr) continue;
      RETURN_IF_ERROR(
          layers.Place(std::move(pending_[i]), chain_ids_[i]).status());
      const Descriptor& blob = manifest_.layers[i];
      reporter_->Report(blob.digest, "done", blob.size, blob.size);
    }
    return layers.FlushNames();
  }

  ImageStore* const store_;
  const Manifest& manifest_;
  const std::vector<std::string>& diff_ids_;
  const std::vector<std::string> chain_ids_;
  const BlobFetcher& fetch_;
  Reporter* const reporter_;
  std::vector<size_t> order_;  // of the work
  std::atomic<size_t> next_{0};
  absl::Mutex mu_;
  absl::Status first_error_ ABSL_GUARDED_BY(mu_);
  std::vector<Unpacked> unpacked_ ABSL_GUARDED_BY(mu_);
  bool unpacked_all_ ABSL_GUARDED_BY(mu_) = false;
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
