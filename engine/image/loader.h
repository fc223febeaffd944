// Makes images present from a tar: docker-archive (manifest.json, as `docker
// save` and `skopeo copy … docker-archive:` write) or OCI image layout.
#ifndef ENGINE_IMAGE_LOADER_H_
#define ENGINE_IMAGE_LOADER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/image_store.h"
#include "engine/images.h"

namespace bulwark::engine::image {

// Reads `fd` to its end. The archive is hostile input: its names are only keys
// that its own documents use. INVALID_ARGUMENT if it holds no image, or lacks a
// part of one. An image without a usable name is stored without one, and can be
// tagged by its digest. Thread-safe.
absl::StatusOr<std::vector<Image>> LoadImages(ImageStore* store, int fd,
                                              const ProgressSink& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_LOADER_H_
