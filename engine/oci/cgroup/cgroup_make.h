// Making the directories that groups are.
#ifndef ENGINE_OCI_CGROUP_CGROUP_MAKE_H_
#define ENGINE_OCI_CGROUP_CGROUP_MAKE_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/oci/cgroup/cgroup.h"

namespace bulwark::engine::oci {

// The version 1 directories of `path` that hold `controllers`, by all the
// controllers that are mounted with them.
std::map<std::string, std::string> V1Directories(
    const CgroupHost& host, const std::set<std::string>& controllers,
    const std::string& path);

// Makes the group `path` ("/a/b") below `mount`, and those above it that are
// missing. Appends what it made to `made`, parents first, also on an error.
absl::Status MakeGroup(const std::string& mount, absl::string_view path,
                       std::vector<std::string>& made);

// Gives each version 1 cpuset on the way to `path` the processors and memory
// nodes of the one above, unless it has some: without, no process can join.
absl::Status FillCpusets(const std::string& mount, absl::string_view path);

// Has every version 2 group above `path` pass its controllers on, as far as the
// kernel lets us. What is missing in the end, the write of a limit says.
void EnableControllers(const std::string& mount, absl::string_view path);

// FAILED_PRECONDITION if a process is in `group` or below it.
absl::Status CheckEmpty(const std::string& group);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_MAKE_H_
