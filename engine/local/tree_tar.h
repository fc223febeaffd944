// A tree of files as a tar archive, while its owner works against us.
#ifndef ENGINE_LOCAL_TREE_TAR_H_
#define ENGINE_LOCAL_TREE_TAR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/container_files.h"
#include "engine/local/processes.h"

namespace bulwark::engine {

struct TreeTarOptions {
  // Owners are given as inside of these; empty: as they are.
  std::vector<IdExtent> uids, gids;
  bool one_mount = false;  // nothing that is mounted below is entered
};

// Writes what the O_PATH descriptor `fd` is, and all below it, with `name` in
// front; an empty name: the entries of that folder. Only regular files are ever
// opened for reading, and each through the descriptor that was looked at. A
// file that shrinks meanwhile is filled up with zeros. FAILED_PRECONDITION if
// `fd` itself is nothing that can be copied.
absl::Status WriteTreeTar(int fd, const std::string& name,
                          const TreeTarOptions& options, const TarSink& sink);

// Whether it is a file system that has no files of its own: proc, sysfs, …
bool IsKernelFs(int fd);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_TREE_TAR_H_
