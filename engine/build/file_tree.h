// A read-only view of directories stacked as overlayfs stacks them, or of one
// plain directory: what COPY reads, and what lies below a new layer.
#ifndef ENGINE_BUILD_FILE_TREE_H_
#define ENGINE_BUILD_FILE_TREE_H_

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::engine::build {

// Thread-compatible. Nothing outside the directories is ever opened, even if
// somebody changes them meanwhile.
class FileTree {
 public:
  // `layers`: lowest first; none is an empty tree.
  static absl::StatusOr<FileTree> Open(const std::vector<std::string>& layers);

  struct Node {
    std::string path;  // relative to the root, no links in it; "" is the root
    struct stat stat = {};
    size_t layer = 0;           // that it comes from
    std::vector<size_t> below;  // a directory's layers, topmost first

    bool IsDirectory() const { return S_ISDIR(stat.st_mode); }
  };

  // Resolves a path inside the tree; links on the way are followed, the last
  // one only if `follow`. NOT_FOUND, FAILED_PRECONDITION (a file is used as a
  // directory, or links go in circles).
  absl::StatusOr<Node> Lookup(const std::string& path, bool follow) const;

  // Where `path` would be: all links in it followed, also in parents of what
  // does not exist. "" is the root.
  absl::StatusOr<std::string> Resolve(const std::string& path) const;

  // The entries of a directory, sorted by name.
  absl::StatusOr<std::vector<Node>> List(const Node& directory) const;

  // Opens a regular file or directory for reading.
  absl::StatusOr<UniqueFd> OpenFile(const Node& node) const;
  absl::StatusOr<std::string> ReadLink(const Node& node) const;

 private:
  absl::StatusOr<Node> Root() const;
  absl::StatusOr<Node> Child(const Node& directory,
                             const std::string& name) const;

  std::vector<UniqueFd> layers_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_FILE_TREE_H_
