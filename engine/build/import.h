// An image of one layer from a root file system.
#ifndef ENGINE_BUILD_IMPORT_H_
#define ENGINE_BUILD_IMPORT_H_

#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/image_exchange.h"

namespace bulwark::engine::build {

// See ImageExchange::Import(). The layer's blob is the archive as it came, if
// it is compressed, else a gzip stream of it. INVALID_ARGUMENT for what is no
// tar archive; other errors as those of UnpackLayer(). Thread-safe.
absl::StatusOr<Image> ImportImage(const BuilderOptions& options,
                                  const ImportRequest& request, int fd,
                                  const ProgressSink& progress);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_IMPORT_H_
