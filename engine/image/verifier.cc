#include "engine/image/verifier.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "engine/image/manifest.h"
#include "engine/image/reference.h"
#include "engine/image/tree_diff.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kNamedDifferences = 3;

std::string Summary(const std::vector<TreeDifference>& differences) {
  std::string text = absl::StrCat(
      differences.size(), differences.size() == 1 ? " file is" : " files are",
      " not as in its blob: ");
  for (size_t i = 0; i < differences.size() && i < kNamedDifferences; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : "; ", "/", differences[i].path, ": ",
                    differences[i].what);
  }
  if (differences.size() > kNamedDifferences) absl::StrAppend(&text, "; …");
  return text;
}

// What to pull for an image that says it is for `platform`. A configuration may
// name none, or half of one, which no pull takes.
std::string PlatformToFetch(const std::string& platform) {
  return ParsePlatform(platform).ok() ? platform : "";
}

// One look at the store.
class Verifier {
 public:
  Verifier(ImageStore* store, const VerifyOptions& options,
           const VerifyProgress& progress)
      : store_(store), options_(options), progress_(progress), lease_(store) {}

  absl::StatusOr<std::vector<ImageDamage>> Run() {
    RETURN_IF_ERROR(Collect());
    for (auto& [digest, blob] : blobs_)
      RETURN_IF_ERROR(CheckBlob(digest, blob));
    for (Layer& layer : layers_) RETURN_IF_ERROR(CheckLayer(layer));
    if (!Tell(0)) return absl::CancelledError("verify images: cancelled");
    return std::move(damage_);
  }

 private:
  struct Blob {
    std::set<std::string> images;  // digests, of indexes too
    int64_t size = 0;
    bool whole = false;
  };
  struct Layer {
    LayerParts parts;
    std::vector<std::string> below;  // directories, lowest first
    std::set<std::string> images;
  };

  absl::Status Collect() {
    const std::set<std::string> wanted(options_.digests.begin(),
                                       options_.digests.end());
    // Directory and blob -> place in layers_: one layer may have several
    // blobs, packed in other ways.
    std::map<std::pair<std::string, std::string>, size_t> known;
    // Everything is held before it is asked for.
    for (const Image& image : store_->List()) lease_.Hold(image.digest);
    for (const NamedIndex& index : store_->Indexes()) {
      lease_.Hold(index.digest);
      if (wanted.empty() || wanted.count(index.digest) > 0) CollectIndex(index);
    }
    for (const Image& image : store_->List()) {
      if (!wanted.empty() && wanted.count(image.digest) == 0) continue;
      absl::StatusOr<std::vector<LayerParts>> layers =
          store_->LayersOf(image.digest);
      if (!layers.ok()) continue;
      repairs_[image.digest] = {"", PlatformToFetch(image.platform), false};
      names_[image.digest] = image.references;
      blobs_[image.digest].images.insert(image.digest);
      blobs_[image.config_digest].images.insert(image.digest);
      std::vector<std::string> below;
      for (const LayerParts& parts : *layers) {
        blobs_[parts.blob].images.insert(image.digest);
        const auto [it, is_new] =
            known.try_emplace({parts.directory, parts.blob}, layers_.size());
        if (is_new) layers_.push_back({parts, below, {}});
        layers_[it->second].images.insert(image.digest);
        below.push_back(parts.directory);
      }
    }
    if (wanted.empty()) {
      for (const std::string& digest : store_->blobs().List()) {
        blobs_.emplace(digest, Blob());
      }
    }
    for (auto& [digest, blob] : blobs_) {
      blob.size = store_->blobs().Size(digest).value_or(0);
      total_ += blob.size;
    }
    for (const Layer& layer : layers_) total_ += blobs_[layer.parts.blob].size;
    return absl::OkStatus();
  }

  void CollectIndex(const NamedIndex& index) {
    names_[index.digest] = index.names;
    for (const std::string& blob : index.index.content) {
      blobs_[blob].images.insert(index.digest);
    }
    Repair& repair = repairs_[index.digest];
    repair.all_platforms = !index.index.documents.empty();
    if (repair.all_platforms) return;
    // It came with an image for this platform.
    for (const std::string& name : index.names) {
      const absl::StatusOr<Image> image = store_->Get(name);
      if (image.ok()) repair.platform = PlatformToFetch(image->platform);
    }
  }

  bool Tell(int64_t bytes) {
    current_ += bytes;
    if (progress_ != nullptr && !cancelled_) {
      cancelled_ = !progress_(current_, total_);
    }
    return !cancelled_;
  }

  ImageDamage& Report(ImageDamage::Kind kind, const std::string& digest,
                      const std::set<std::string>& images,
                      std::string problem) {
    ImageDamage damage;
    damage.kind = kind;
    damage.digest = digest;
    damage.problem = std::move(problem);
    for (const std::string& image : images) {
      const std::vector<std::string>& names = names_[image];
      damage.references.insert(damage.references.end(), names.begin(),
                               names.end());
      if (names.empty()) damage.references.push_back(image);
    }
    damage_.push_back(std::move(damage));
    return damage_.back();
  }

  // What is wrong with a blob; empty: nothing.
  absl::StatusOr<std::string> ProblemOf(const std::string& digest) {
    const absl::StatusOr<std::string> got = store_->blobs().Rehash(
        digest, [this](int64_t bytes) { return Tell(bytes); });
    if (absl::IsCancelled(got.status())) return got.status();
    if (absl::IsNotFound(got.status())) return std::string("it is missing");
    if (!got.ok()) {
      return absl::StrCat("it cannot be read: ", got.status().message());
    }
    if (*got == digest) return std::string();
    return absl::StrCat("its content has the digest ", *got);
  }

  absl::Status CheckBlob(const std::string& digest, Blob& blob) {
    ASSIGN_OR_RETURN(std::string problem, ProblemOf(digest));
    blob.whole = problem.empty();
    if (blob.whole) return absl::OkStatus();
    // Nothing needs it, and somebody has just swept it away.
    if (blob.images.empty() && !store_->blobs().Has(digest)) {
      return absl::OkStatus();
    }
    ImageDamage& damage = Report(ImageDamage::Kind::kBlob, digest, blob.images,
                                 std::move(problem));
    if (options_.fetch == nullptr) return absl::OkStatus();
    const absl::Status repaired = blob.images.empty()
                                      ? store_->blobs().Remove(digest)
                                      : FetchBlob(digest, blob);
    damage.repaired = repaired.ok();
    damage.repair_error = std::string(repaired.message());
    blob.whole = repaired.ok();
    return absl::OkStatus();
  }

  absl::Status FetchBlob(const std::string& digest, const Blob& blob) {
    ASSIGN_OR_RETURN(const std::string aside, store_->blobs().SetAside(digest));
    absl::Status result = absl::NotFoundError(
        "no image that needs it has a name to fetch it by; load or build it"
        " again");
    for (const std::string& image : blob.images) {
      for (const std::string& name : names_[image]) {
        if (store_->blobs().Has(digest)) break;
        result = FetchImage(name, image);
        if (result.ok() && !store_->blobs().Has(digest)) {
          result = absl::DataLossError(absl::StrCat(name, " came without it"));
        }
      }
    }
    const bool here = store_->blobs().Has(digest);
    const absl::Status ended = store_->blobs().EndAside(aside, digest);
    if (!ended.ok()) {
      LOG_WARN("cannot end the repair of a blob",
               {{"digest", digest}, {"error", ended}});
    }
    return here ? absl::OkStatus() : result;
  }

  // By digest: the tag may name another image by now.
  absl::Status FetchImage(const std::string& name, const std::string& digest) {
    ASSIGN_OR_RETURN(Reference reference, ParseReference(name));
    reference.tag.clear();
    reference.digest = digest;
    const std::string full = reference.ToString();
    const std::vector<std::string>& names = names_[digest];
    const bool had = std::find(names.begin(), names.end(), full) != names.end();
    Repair repair = repairs_[digest];
    repair.reference = full;
    const absl::Status fetched = options_.fetch(repair);
    // A pull leaves the name that it was told.
    if (!had) store_->Untag(full).IgnoreError();
    return fetched;
  }

  absl::Status CheckLayer(const Layer& layer) {
    const Blob& blob = blobs_[layer.parts.blob];
    // Without the blob there is nothing to compare with; that is reported.
    if (!blob.whole) return absl::OkStatus();
    absl::StatusOr<UniqueFd> fd = store_->blobs().Read(layer.parts.blob);
    if (!fd.ok()) return absl::OkStatus();  // has just been swept away
    const auto cancelled = [this] { return !Tell(0); };
    absl::StatusOr<std::unique_ptr<PendingLayer>> unpacked =
        store_->layers().Unpack(std::make_unique<FdSource>(*std::move(fd)),
                                layer.parts.diff_id, UnpackLimits(), cancelled);
    Tell(blob.size);
    if (absl::IsDataLoss(unpacked.status()) ||
        absl::IsInvalidArgument(unpacked.status())) {
      ReportForeign(layer, unpacked.status());
      return absl::OkStatus();
    }
    if (!unpacked.ok()) {
      return Annotate(unpacked.status(),
                      absl::StrCat("unpack layer ", layer.parts.blob));
    }
    std::unique_ptr<PendingLayer> good = *std::move(unpacked);
    struct stat st;
    const auto missing = [&st](const std::string& directory) {
      return stat(directory.c_str(), &st) != 0;
    };
    // Folders that it leaves out cannot be compared without those below.
    if (!good->independent() &&
        std::any_of(layer.below.begin(), layer.below.end(), missing)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(LayerStore::Settle(*good, layer.below));
    if (missing(layer.parts.directory)) {
      return Restore(layer, std::move(good));
    }
    ASSIGN_OR_RETURN(
        const std::vector<TreeDifference> differences,
        CompareTrees(good->directory(), layer.parts.directory, cancelled));
    if (differences.empty()) return absl::OkStatus();
    ImageDamage& damage = Report(ImageDamage::Kind::kLayer, layer.parts.diff_id,
                                 layer.images, Summary(differences));
    if (options_.fetch == nullptr) return absl::OkStatus();
    const absl::Status mended =
        MendTree(good->directory(), layer.parts.directory, differences);
    damage.repaired = mended.ok();
    damage.repair_error = std::string(mended.message());
    return absl::OkStatus();
  }

  // A blob that is what its digest promises, and not what the image does: no
  // registry has a better one.
  void ReportForeign(const Layer& layer, const absl::Status& why) {
    ImageDamage& damage =
        Report(ImageDamage::Kind::kBlob, layer.parts.blob, layer.images,
               absl::StrCat("it does not hold layer ", layer.parts.diff_id,
                            ": ", why.message()));
    if (options_.fetch == nullptr) return;
    damage.repair_error =
        "the image was made so: remove it, and get or build a sound one";
  }

  absl::Status Restore(const Layer& layer, std::unique_ptr<PendingLayer> good) {
    ImageDamage& damage = Report(ImageDamage::Kind::kLayer, layer.parts.diff_id,
                                 layer.images, "its directory is missing");
    if (options_.fetch == nullptr) return absl::OkStatus();
    // The place that the image knows, by its diff or its chain id.
    const std::string hex = layer.parts.directory.substr(
        0, layer.parts.directory.size() - std::string("/fs").size());
    const absl::StatusOr<std::string> made = store_->layers().Commit(
        std::move(good),
        absl::StrCat("sha256:", hex.substr(hex.rfind('/') + 1)), layer.below);
    damage.repaired = made.ok();
    damage.repair_error = std::string(made.status().message());
    return absl::OkStatus();
  }

  ImageStore* const store_;
  const VerifyOptions& options_;
  const VerifyProgress& progress_;
  ImageStore::Lease lease_;
  std::map<std::string, Blob> blobs_;
  std::vector<Layer> layers_;
  std::map<std::string, std::vector<std::string>> names_;  // by digest
  std::map<std::string, Repair> repairs_;  // by digest, without the reference
  std::vector<ImageDamage> damage_;
  int64_t current_ = 0;
  int64_t total_ = 0;
  bool cancelled_ = false;
};

}  // namespace

absl::StatusOr<std::vector<ImageDamage>> VerifyStore(
    ImageStore* store, const VerifyOptions& options,
    const VerifyProgress& progress) {
  return Verifier(store, options, progress).Run();
}

}  // namespace bulwark::engine::image
