// Makes images present from a tar: docker-archive (manifest.json, as `docker
// save` and `skopeo copy … docker-archive:` write) or OCI image layout.
#ifndef ENGINE_IMAGE_LOADER_H_
#define ENGINE_IMAGE_LOADER_H_

#include <string>
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

// Makes one image of an OCI layout's tar present, without a name. `reference`:
// the digest that the layout's index has for it, or its name there (what
// org.opencontainers.image.ref.name says, or the tag of that); empty: the only
// image, or the one that is called "latest". `platform`: of several (empty:
// this host's). INVALID_ARGUMENT, as above, or if there is none; it says which
// there are.
absl::StatusOr<Image> LoadLayoutImage(ImageStore* store, int fd,
                                      const std::string& reference,
                                      const std::string& platform,
                                      const ProgressSink& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_LOADER_H_
