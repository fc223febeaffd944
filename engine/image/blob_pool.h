// Moving many blobs, a few at a time.
#ifndef ENGINE_IMAGE_BLOB_POOL_H_
#define ENGINE_IMAGE_BLOB_POOL_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "engine/image/manifest.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {

// Calls `move` for each blob, in this order, three at a time. The first error
// ends it, cancels `reporter`, and is returned.
absl::Status ForEachBlob(
    const std::vector<Descriptor>& blobs, Reporter* reporter,
    const std::function<absl::Status(const Descriptor& blob)>& move);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_BLOB_POOL_H_
