// Unpacking the layers of one image, several at a time.
#ifndef ENGINE_IMAGE_LAYER_SET_H_
#define ENGINE_IMAGE_LAYER_SET_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/image/image_store.h"
#include "engine/image/manifest.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {

// Makes blob `i` present in the store, called at most once at a time for one
// layer.
using BlobFetcher = std::function<absl::Status(const Descriptor& blob)>;

// Fetches and unpacks every layer that is not in the store yet. `lease` keeps
// them until the image is added. INVALID_ARGUMENT if the counts differ. The
// first error ends the rest; each names its layer.
absl::Status MaterializeLayers(ImageStore* store, ImageStore::Lease* lease,
                               const Manifest& manifest,
                               const std::vector<std::string>& diff_ids,
                               const BlobFetcher& fetch, Reporter* reporter);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_LAYER_SET_H_
