// Makes an index of images in the store.
#ifndef ENGINE_IMAGE_INDEX_MAKER_H_
#define ENGINE_IMAGE_INDEX_MAKER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/image_store.h"

namespace bulwark::engine::image {

// Keeps an index of these images, in this order, under the full name `name`;
// the same images give the same digest. If one of them is for this host, the
// name runs that. INVALID_ARGUMENT if there is none, or two for one platform.
// NOT_FOUND if one is gone.
absl::StatusOr<Image> MakeIndex(ImageStore* store,
                                const std::vector<std::string>& digests,
                                const std::string& name);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_INDEX_MAKER_H_
