// Making room in the image store.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/local_images.h"

namespace bulwark::engine {
namespace {

void AddNames(const Image& image, std::vector<std::string>& removed) {
  if (image.references.empty()) {
    removed.push_back(
        absl::StrCat(image.is_index ? "index " : "image ", image.digest));
  }
  for (const std::string& name : image.references) {
    removed.push_back(absl::StrCat("image ", name));
  }
}

// It may have got a name or a user since it was found unneeded.
bool IsHere(const image::ImageStore& store, const Image& image) {
  return store.SourceOf(image.digest).ok();
}

// One after the other, while the caller wants more to go.
absl::Status DropStepwise(image::ImageStore& store,
                          const std::vector<Image>& unneeded,
                          const std::function<bool()>& enough,
                          PruneImagesResult& result) {
  ASSIGN_OR_RETURN(result.bytes, store.ContentOf({}));
  RETURN_IF_ERROR(store.SweepContent());
  for (const Image& image : unneeded) {
    if (enough()) return absl::OkStatus();
    image::UnneededContent one;
    one.images = {image};
    ASSIGN_OR_RETURN(const int64_t bytes, store.ContentOf(one));
    RETURN_IF_ERROR(store.Drop(one.images));
    if (IsHere(store, image)) continue;
    result.bytes += bytes;
    AddNames(image, result.removed);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PruneImagesResult> LocalImages::Prune(
    const PruneImagesRequest& request) {
  PruneImagesResult result;
  image::UnneededContent unneeded;
  const absl::Time since =
      request.min_unused > absl::ZeroDuration() && config_.clock != nullptr
          ? config_.clock->Now() - request.min_unused
          : absl::InfiniteFuture();
  if (request.images) {
    unneeded.images = store_->FindUnneeded(request, since);
  }
  if (request.enough != nullptr && !request.dry_run && !request.build_cache) {
    RETURN_IF_ERROR(
        DropStepwise(*store_, unneeded.images, request.enough, result));
    SweepSignatures();
    return result;
  }
  unneeded.extra_roots = request.build_cache;
  ASSIGN_OR_RETURN(result.bytes, store_->ContentOf(unneeded));
  std::vector<std::string> of_builds;
  const int64_t steps = request.build_cache ? cache_->Count() : 0;
  const int64_t mounts = request.build_cache ? cache_mounts_->Count() : 0;
  if (mounts > 0) {
    result.bytes += cache_mounts_->Bytes();
    of_builds.push_back(absl::StrCat(mounts, " cache director",
                                     mounts == 1 ? "y" : "ies", " of builds"));
  }
  if (steps > 0) {
    of_builds.push_back(
        absl::StrCat(steps, " build step", steps == 1 ? "" : "s"));
  }
  if (request.build_cache && !request.dry_run) {
    RETURN_IF_ERROR(cache_->Clear());
    RETURN_IF_ERROR(cache_mounts_->Clear().status());
  }
  if (!request.dry_run) {
    RETURN_IF_ERROR(request.images ? store_->Drop(unneeded.images)
                                   : store_->SweepContent());
  }
  for (const Image& image : unneeded.images) {
    if (!request.dry_run && IsHere(*store_, image)) continue;
    AddNames(image, result.removed);
  }
  result.removed.insert(result.removed.end(), of_builds.begin(),
                        of_builds.end());
  if (!request.dry_run) SweepSignatures();
  return result;
}

}  // namespace bulwark::engine
