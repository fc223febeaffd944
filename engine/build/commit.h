// An image of a base and a container's writable layer.
#ifndef ENGINE_BUILD_COMMIT_H_
#define ENGINE_BUILD_COMMIT_H_

#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/image_commits.h"

namespace bulwark::engine::build {

// See ImageCommits::Commit(). Thread-safe.
absl::StatusOr<Image> CommitImage(const BuilderOptions& options,
                                  const CommitRequest& request);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_COMMIT_H_
