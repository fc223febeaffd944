// What a COPY or ADD puts where.
#ifndef ENGINE_BUILD_COPY_PLAN_H_
#define ENGINE_BUILD_COPY_PLAN_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/build/file_digests.h"
#include "engine/build/file_tree.h"
#include "engine/build/glob.h"
#include "engine/build/mode_change.h"
#include "engine/build/owners.h"

namespace bulwark::engine::build {

// One file, directory or link to make. Parents come before what they hold.
struct CopyItem {
  const FileTree* tree = nullptr;  // borrowed
  FileTree::Node node;
  std::string destination;  // relative to the root of the new layer's image
  // A directory that exists below keeps its own owner, mode and times.
  bool keep_existing = false;
  bool keep_owner = false;  // unless the owner was asked for
};

struct CopyPlan {
  std::vector<CopyItem> items;
  std::string directory;  // that is made even if nothing is copied; or ""
};

struct CopyAttributes {
  std::optional<Owner> owner;  // nothing: as the source has it
  bool owner_asked_for = false;
  std::optional<ModeChange> mode;
};

// What of a tree is copied, and how.
struct CopyFilter {
  IgnoreList ignored;  // does not exist
  // Is left out: paths from the tree's root, or from the directory copied.
  IgnoreList exclude;
  // Keeps the directories on the way to a source, from its "/./" on.
  bool parents = false;
};

// Adds `source` (a pattern, relative to the tree's root) to the plan. A
// directory's contents go to `destination`; a file goes to `destination`, or
// into it if `into_directory`. INVALID_ARGUMENT if there is no such source;
// a pattern may match nothing.
absl::Status AddSource(const FileTree& tree, const CopyFilter& filter,
                       const std::string& source,
                       const std::string& destination, bool into_directory,
                       CopyPlan* plan);

// The paths that match a pattern, sorted; there may be none. INVALID_ARGUMENT
// if a source that is no pattern does not exist.
absl::StatusOr<std::vector<FileTree::Node>> MatchSources(
    const FileTree& tree, const IgnoreList& ignored, const std::string& source);

// Adds all below `directory`, whose contents go to `destination`.
absl::Status AddContents(const FileTree& tree, const CopyFilter& filter,
                         const FileTree::Node& directory,
                         const std::string& destination, CopyPlan* plan);

// A digest of everything that the plan will write, but for times. Files that
// `known` knows are not read.
absl::StatusOr<std::string> HashPlan(const CopyPlan& plan,
                                     const CopyAttributes& attributes,
                                     FileDigests& known, Clock& clock);

// Writes the plan into the empty directory `root_fd`, the next layer above
// `below`. Directories on the way are made as they are below, or new with mode
// 0755. INVALID_ARGUMENT if a directory is to replace a file or the reverse.
absl::Status WritePlan(const CopyPlan& plan, const CopyAttributes& attributes,
                       const FileTree& below, int root_fd,
                       const std::function<bool()>& cancelled);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_COPY_PLAN_H_
