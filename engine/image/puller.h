// Makes an image present from a registry.
#ifndef ENGINE_IMAGE_PULLER_H_
#define ENGINE_IMAGE_PULLER_H_

#include "absl/status/statusor.h"
#include "engine/image/image_store.h"
#include "engine/images.h"
#include "engine/registry/client.h"

namespace bulwark::engine::image {

// Fetches what is missing, three layers at a time, unpacks each as soon as it
// is verified, and names the image last. Errors as Images::Pull's, each
// beginning with "pull <reference>: ". Thread-safe.
absl::StatusOr<Image> PullImage(ImageStore* store, const PullRequest& request,
                                const registry::ClientOptions& options,
                                const ProgressSink& progress);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_PULLER_H_
