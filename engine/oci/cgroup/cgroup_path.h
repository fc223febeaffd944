// Names of groups. Pure.
#ifndef ENGINE_OCI_CGROUP_CGROUP_PATH_H_
#define ENGINE_OCI_CGROUP_CGROUP_PATH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

// linux.cgroupsPath of a container as a path from the hierarchy's root: "/a/b".
// INVALID_ARGUMENT for one that leaves its place or names the root itself.
absl::StatusOr<std::string> CgroupPath(absl::string_view cgroups_path,
                                       absl::string_view id);

// "slice:prefix:name" of systemd.
struct ScopeName {
  std::string slice;  // "user-1000.slice"
  std::string unit;   // "podman-1f.scope"
  std::string path;   // "/user.slice/user-1000.slice/podman-1f.scope"
};
absl::StatusOr<ScopeName> ParseScopeName(absl::string_view cgroups_path,
                                         absl::string_view id);

// Where systemd has a slice: "a-b.slice" is below "a.slice". "-.slice" is the
// root, "".
absl::StatusOr<std::string> SlicePath(absl::string_view slice);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_PATH_H_
