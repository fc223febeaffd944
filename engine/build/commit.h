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

// RESOURCE_EXHAUSTED if the disk of `state_dir`, the store's, could be left
// with too little for others by a commit of `upper_dir`.
absl::Status CheckRoomToCommit(const std::string& state_dir,
                               const std::string& upper_dir);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_COMMIT_H_
