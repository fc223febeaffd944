// Users and groups as an image names them.
#ifndef ENGINE_BUILD_OWNERS_H_
#define ENGINE_BUILD_OWNERS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/file_tree.h"

namespace bulwark::engine::build {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// "user", "user:group", ":group" (of root), by name or number; names are looked
// up in the tree's own /etc/passwd and /etc/group. Without a group it is the
// first one of a user that is named, and the same number for a number, whoever
// has it. INVALID_ARGUMENT if a name is unknown.
absl::StatusOr<Owner> ResolveOwner(absl::string_view text,
                                   const FileTree& tree);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_OWNERS_H_
