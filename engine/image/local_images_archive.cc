// Images in archives: saving them, and making one of a root file system.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/import.h"
#include "engine/image/local_images.h"
#include "engine/image/reference.h"
#include "engine/image/saver.h"

namespace bulwark::engine {

absl::Status LocalImages::Save(const SaveRequest& request, int fd,
                               const ProgressSink& progress) {
  std::vector<image::SaveItem> items;
  for (const std::string& reference : request.references) {
    image::SaveItem found;
    const absl::StatusOr<Image> image = Get(reference);
    if (request.all_platforms) {
      ASSIGN_OR_RETURN(found.digest, SourceOf(reference));
      if (image.ok()) found.image = image->digest;
    } else {
      RETURN_IF_ERROR(image.status());
      found.digest = image->digest;
    }
    auto item = std::find_if(items.begin(), items.end(),
                             [&found](const image::SaveItem& other) {
                               return other.digest == found.digest;
                             });
    if (item == items.end()) {
      item = items.insert(items.end(), std::move(found));
    }
    if (image::IsDigest(reference)) continue;
    ASSIGN_OR_RETURN(image::Reference name, image::ParseReference(reference));
    // Archives have no place for a digest in a name.
    name.digest.clear();
    if (name.tag.empty()) continue;
    std::string full = name.ToString();
    if (std::find(item->names.begin(), item->names.end(), full) ==
        item->names.end()) {
      item->names.push_back(std::move(full));
    }
  }
  image::SaveOptions options;
  options.docker_archive = request.format != ImageFormat::kOci;
  options.all_platforms = request.all_platforms;
  image::Reporter reporter(progress);
  return image::SaveImages(store_.get(), items, options, fd, &reporter);
}

absl::StatusOr<Image> LocalImages::Import(const ImportRequest& request, int fd,
                                          const ProgressSink& progress) {
  absl::StatusOr<Image> image =
      build::ImportImage(BuilderOptions(), request, fd, progress);
  MakeRoomAfter(image.status());
  return image;
}

}  // namespace bulwark::engine
