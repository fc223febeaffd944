// Comparing the directory of a layer with what it should be, and mending it.
#ifndef ENGINE_IMAGE_TREE_DIFF_H_
#define ENGINE_IMAGE_TREE_DIFF_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bulwark::engine::image {

struct TreeDifference {
  std::string path;
  std::string what;  // "its content differs"
};

// Where the directory `actual` differs from `good`: names, kinds, owners,
// modes, link targets, hard links, the attributes that layers may have, and
// contents. Times are not compared, nor the root's own attributes, nor device
// nodes and sockets, which no layer holds. A directory that is missing, or
// another kind, stands for all below it. Parents come first.
absl::StatusOr<std::vector<TreeDifference>> CompareTrees(
    const std::string& good, const std::string& actual,
    const std::function<bool()>& cancelled);

// Makes `actual` equal to `good`, which loses what is moved out of it. Each
// file is replaced in one step, and the times of directories stay, so whoever
// has the tree mounted sees the old file or the new one, and keeps the old one
// if it is open. Flushed.
absl::Status MendTree(const std::string& good, const std::string& actual,
                      const std::vector<TreeDifference>& differences);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_TREE_DIFF_H_
