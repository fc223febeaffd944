// The options of a mount as the specification lists them, sorted by what does
// something with them.
#ifndef ENGINE_OCI_MOUNT_OPTIONS_H_
#define ENGINE_OCI_MOUNT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bulwark::engine::oci {

struct MountOptions {
  bool bind = false;
  bool recursive = false;  // rbind
  // MOUNT_ATTR_*, of the mount alone and of all below it.
  uint64_t set = 0;
  uint64_t clear = 0;
  uint64_t recursive_set = 0;
  uint64_t recursive_clear = 0;
  uint64_t propagation = 0;  // MS_PRIVATE, …; 0: not said
  bool recursive_propagation = false;
  bool id_map = false;
  bool recursive_id_map = false;
  bool copy_up = false;  // tmpcopyup
  // For the file system, in order: "size=64k", "sync".
  std::vector<std::string> data;
};

// INVALID_ARGUMENT for options that contradict each other.
absl::StatusOr<MountOptions> ParseMountOptions(
    const std::vector<std::string>& options);

// MS_PRIVATE, … for "private", "rslave", …, and whether it is the recursive
// form; 0: none of them.
uint64_t PropagationFlag(const std::string& name, bool* recursive);

// The names that are known, for `features`.
std::vector<std::string> MountOptionNames();

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_MOUNT_OPTIONS_H_
