// Makes an image from a Dockerfile.
#ifndef ENGINE_BUILD_BUILDER_H_
#define ENGINE_BUILD_BUILDER_H_

#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/images.h"

namespace bulwark::engine::build {

// Reads request.dockerfile, carries out the stages that the target needs, and
// adds the result to the store under the request's tags. Steps that nothing
// changed for come from the cache, and then the image is the very same, digest
// included. An error begins with "build: ", and if the file is to blame, with
// its line: INVALID_ARGUMENT then. While there is nothing to report, `progress`
// gets an empty one a few times a second, to say whether to go on. Thread-safe.
absl::StatusOr<Image> BuildImage(const BuilderOptions& options,
                                 const BuildRequest& request,
                                 const ProgressSink& progress);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_BUILDER_H_
