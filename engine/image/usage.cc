// What the image store takes of its disk, and removing what nothing needs.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/image_store.h"
#include "os/files.h"
#include "os/measure.h"

namespace bulwark::engine::image {
namespace {

using Digests = std::set<std::string>;

constexpr char kBlobs[] = "/blobs/sha256/";
constexpr char kLayers[] = "/layers/";

Digests Difference(const Digests& a, const Digests& b) {
  Digests result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::inserter(result, result.end()));
  return result;
}

// Of what has these names there.
absl::StatusOr<int64_t> MeasureAt(const std::string& folder,
                                  const Digests& content) {
  int64_t bytes = 0;
  for (const std::string& digest : content) {
    ASSIGN_OR_RETURN(const os::TreeUsage size,
                     os::MeasureTree(absl::StrCat(folder, HexOf(digest))));
    bytes += size.bytes;
  }
  return bytes;
}

// The images that names of this index stand for.
Digests ImagesOf(const std::string& index,
                 const std::map<std::string, std::vector<std::string>>& names,
                 const std::map<std::string, std::string>& references) {
  Digests digests;
  const auto its = names.find(index);
  if (its == names.end()) return digests;
  for (const std::string& name : its->second) {
    const auto it = references.find(name);
    if (it != references.end()) digests.insert(it->second);
  }
  digests.erase(index);
  return digests;
}

}  // namespace

bool ImageStore::AllPulled(const Image& image) const {
  return std::all_of(image.references.begin(), image.references.end(),
                     [&](const std::string& name) ABSL_SHARED_LOCKS_REQUIRED(
                         mu_) { return record_.pulled.count(name) > 0; });
}

std::vector<Image> ImageStore::FindUnneeded(const PruneImagesRequest& request,
                                            absl::Time unused_since) const {
  const Digests wanted(request.in_use.begin(), request.in_use.end());
  std::vector<Image> unneeded;
  std::map<std::string, absl::Time> used;
  for (Image& image : List()) {
    if (wanted.count(image.digest) > 0) continue;
    if (request.all || image.references.empty()) {
      unneeded.push_back(std::move(image));
    }
  }
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [digest, stored] : images_) used[digest] = stored.used;
    for (const auto& [digest, index] : record_.book.indexes()) {
      used[digest] = index.used;
    }
    const auto names = record_.book.Names();
    // An index goes when no image needs it: after them, and with all of them.
    for (const Image& image : unneeded) {
      if (!image.is_index) continue;
      absl::Time& last = used[image.digest];
      for (const std::string& other :
           ImagesOf(image.digest, names, record_.references)) {
        last = std::max(last, used[other]);
      }
    }
    unneeded.erase(
        std::remove_if(unneeded.begin(), unneeded.end(),
                       [&](const Image& image) ABSL_SHARED_LOCKS_REQUIRED(mu_) {
                         return leased_.count(image.digest) > 0 ||
                                used[image.digest] >= unused_since ||
                                (request.only_pulled && !AllPulled(image));
                       }),
        unneeded.end());
    Digests going;
    for (const Image& image : unneeded) going.insert(image.digest);
    unneeded.erase(
        std::remove_if(unneeded.begin(), unneeded.end(),
                       [&](const Image& image) ABSL_SHARED_LOCKS_REQUIRED(mu_) {
                         return image.is_index &&
                                !Difference(ImagesOf(image.digest, names,
                                                     record_.references),
                                            going)
                                     .empty();
                       }),
        unneeded.end());
  }
  std::stable_sort(unneeded.begin(), unneeded.end(),
                   [&used](const Image& a, const Image& b) {
                     return used[a.digest] < used[b.digest];
                   });
  return unneeded;
}

absl::Status ImageStore::Drop(const std::vector<Image>& images) {
  {
    absl::MutexLock lock(&mu_);
    auto old_images = images_;
    NameRecord old_record = record_;
    // Images first: an index stays while one has a name of it.
    for (const bool indexes : {false, true}) {
      for (const Image& image : images) {
        Image now;
        now.digest = image.digest;
        if (image.is_index != indexes || leased_.count(image.digest) > 0 ||
            WithReferences(now).references != image.references) {
          continue;
        }
        // A name may have come by an image since.
        if (indexes && record_.book.NamesOf(image.digest) != image.references) {
          continue;
        }
        for (const std::string& name : image.references) {
          for (const std::string& digest : ForgetName(name)) {
            if (record_.book.NamesOf(digest).empty() &&
                leased_.count(digest) == 0) {
              record_.book.Erase(digest);
            }
          }
        }
        if (indexes) record_.book.Erase(image.digest);
        images_.erase(image.digest);
      }
    }
    record_.book.Tidy();
    absl::Status saved = SaveSmaller();
    if (!saved.ok()) {
      images_ = std::move(old_images);
      record_ = std::move(old_record);
      return saved;
    }
  }
  RETURN_IF_ERROR(SweepContent());
  MakeReserve();
  return absl::OkStatus();
}

ImageStore::Roots ImageStore::AllContent() const {
  Roots all;
  for (std::string& digest : blobs_->List()) all.insert(std::move(digest));
  for (std::string& name : layers_->List()) all.insert(std::move(name));
  return all;
}

// A digest may name a blob, a layer, or both.
absl::StatusOr<int64_t> ImageStore::SizeOf(const Roots& content) const {
  ASSIGN_OR_RETURN(const int64_t blobs,
                   MeasureAt(state_dir_ + kBlobs, content));
  ASSIGN_OR_RETURN(const int64_t layers,
                   MeasureAt(state_dir_ + kLayers, content));
  return blobs + layers;
}

// What a sweep leaves that it may not touch is not told: see DropContent().
absl::StatusOr<int64_t> ImageStore::ContentOf(
    const UnneededContent& unneeded) const {
  Digests going;
  for (const Image& image : unneeded.images) going.insert(image.digest);
  const Roots all = AllContent();
  bool blobs_stay = false;
  // Of an index: it goes by itself, or with the last image that has its name.
  const auto goes =
      [&](const std::string& name) ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        const auto it = record_.references.find(name);
        return it == record_.references.end() || going.count(it->second) > 0;
      };
  Roots kept = unneeded.extra_roots ? Roots() : ExtraRoots();
  {
    absl::MutexLock lock(&mu_);
    if (!record_.damaged.empty()) return 0;
    kept.insert(leased_.begin(), leased_.end());
    for (const auto& [digest, stored] : images_) {
      if (going.count(digest) > 0) continue;
      AddContent(stored, kept);
    }
    const auto names = record_.book.Names();
    for (const auto& [digest, index] : record_.book.indexes()) {
      const auto its = names.find(digest);
      const bool index_goes =
          leased_.count(digest) == 0 &&
          (its == names.end()
               ? going.count(digest) > 0
               : std::all_of(its->second.begin(), its->second.end(), goes));
      if (index_goes) continue;
      kept.insert(index.content.begin(), index.content.end());
      blobs_stay |= index.damaged;
    }
  }
  const Roots freed = Difference(all, kept);
  if (!blobs_stay) return SizeOf(freed);
  return MeasureAt(state_dir_ + kLayers, freed);
}

absl::StatusOr<ImagesUsage> ImageStore::Usage(
    const std::vector<std::string>& in_use) const {
  const Digests wanted(in_use.begin(), in_use.end());
  UnneededContent unneeded;
  PruneImagesRequest nameless;
  nameless.in_use = in_use;
  unneeded.images = FindUnneeded(nameless);
  ImagesUsage usage;
  const Roots extra = ExtraRoots();
  Roots of_images;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [digest, stored] : images_) {
      AddContent(stored, of_images);
      ++usage.images.count;
      if (wanted.count(digest) > 0) ++usage.images.active;
    }
    for (const auto& [digest, index] : record_.book.indexes()) {
      of_images.insert(index.content.begin(), index.content.end());
    }
    usage.images.count += static_cast<int64_t>(BareIndexes().size());
  }
  const Roots of_cache = Difference(extra, of_images);
  // What nothing needs counts as images: a pull has brought it.
  ASSIGN_OR_RETURN(usage.images.bytes,
                   SizeOf(Difference(AllContent(), of_cache)));
  ASSIGN_OR_RETURN(usage.build_cache.bytes, SizeOf(of_cache));
  usage.build_cache.reclaimable_bytes = usage.build_cache.bytes;
  ASSIGN_OR_RETURN(usage.images.reclaimable_bytes, ContentOf(unneeded));
  return usage;
}

}  // namespace bulwark::engine::image
