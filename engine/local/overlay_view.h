// The layers of a container's root file system, seen from outside.
#ifndef ENGINE_LOCAL_OVERLAY_VIEW_H_
#define ENGINE_LOCAL_OVERLAY_VIEW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "engine/container_files.h"

namespace bulwark::engine {

// The root that `upper` over `layers` (lowest first) gives, read-only and
// mounted nowhere. FAILED_PRECONDITION before Linux 6.5.
absl::StatusOr<UniqueFd> MountLayers(const std::string& upper,
                                     const std::vector<std::string>& layers);

// What `upper` changes of `layers` (lowest first). What a launch makes for its
// own mounts is left out. Sorted.
absl::StatusOr<std::vector<FileChange>> DiffLayers(
    const std::string& upper, const std::vector<std::string>& layers);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_OVERLAY_VIEW_H_
