// A file system as a tar archive: what `--output type=local` and tar give.
#ifndef ENGINE_BUILD_TREE_EXPORT_H_
#define ENGINE_BUILD_TREE_EXPORT_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/build/file_tree.h"

namespace bulwark::engine::build {

// Writes all of `tree` to `fd`, which may be a pipe: sorted by name, hard links
// kept, device nodes and sockets left out. UNAVAILABLE if nobody reads.
absl::Status ExportTree(const FileTree& tree, absl::Time latest, int fd,
                        const std::function<bool()>& cancelled);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_TREE_EXPORT_H_
