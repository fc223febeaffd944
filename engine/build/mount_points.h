// What a container left in its writable layer only because something was
// mounted there.
#ifndef ENGINE_BUILD_MOUNT_POINTS_H_
#define ENGINE_BUILD_MOUNT_POINTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/build/file_tree.h"

namespace bulwark::engine::build {

// Removes from the layer `upper_dir`, above `below`, the empty files and
// directories at `paths` and the directories on the way to them: those that
// are not below, and those that are there in the same way and were only copied
// up. `paths` are as the container saw them.
absl::Status RemoveMountPoints(const FileTree& below,
                               const std::string& upper_dir,
                               const std::vector<std::string>& paths);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_MOUNT_POINTS_H_
