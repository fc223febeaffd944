// The layer below every image: what each container has something mounted on.
#ifndef ENGINE_LOCAL_MOUNT_POINTS_H_
#define ENGINE_LOCAL_MOUNT_POINTS_H_

#include <string>

#include "absl/status/status.h"

namespace bulwark::engine {

// Makes `root` hold empty /proc, /sys, /dev and files in /etc, owned by root.
// As the lowest layer of every container it spares each start the making of
// those in its writable layer, which takes several inodes and renames of the
// disk's file system apiece. What an image has in their place hides them. What
// is there already is left as it is; FAILED_PRECONDITION: there is more, or
// something else.
absl::Status MakeMountPoints(const std::string& root);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_MOUNT_POINTS_H_
