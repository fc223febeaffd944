// The end of a build or commit: the image in the store.
#ifndef ENGINE_BUILD_IMAGE_WRITER_H_
#define ENGINE_BUILD_IMAGE_WRITER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/build/build_context.h"

namespace bulwark::engine::build {

// The full names; INVALID_ARGUMENT if one is none, or holds a digest.
absl::StatusOr<std::vector<std::string>> ParseTags(
    const std::vector<std::string>& tags);

// Adds `image` to the store under `names`, with OCI media types.
absl::StatusOr<Image> StoreImage(image::ImageStore* store,
                                 image::ImageStore::Lease* lease,
                                 StageImage image,
                                 const std::vector<std::string>& names);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_IMAGE_WRITER_H_
