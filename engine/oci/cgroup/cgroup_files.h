// Control files and the tree that groups make.
#ifndef ENGINE_OCI_CGROUP_CGROUP_FILES_H_
#define ENGINE_OCI_CGROUP_CGROUP_FILES_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

// 0, or the errno of the first call that failed.
int WriteControl(const std::string& path, absl::string_view text);
// The same with an error that says what was written where.
absl::Status WriteControlOrError(const std::string& path,
                                 absl::string_view text);

// A control file's text, without the newline at its end. Empty if it cannot be
// read: what a kernel does not have says nothing.
std::string ReadControl(const std::string& path);

// The word behind "`key` " in a text of such lines; empty if there is none.
absl::string_view ControlField(absl::string_view text, absl::string_view key);

// The number that is all of `text`; 0 for "max" and anything else.
uint64_t ControlNumber(absl::string_view text);

bool PathExists(const std::string& path);

// Calls `visit` with each group's open directory, `group` first; groups that
// go away meanwhile are left out. OK if `group` does not exist. Bounded in
// descriptors and stack for any depth.
absl::Status WalkGroups(const std::string& group,
                        const std::function<absl::Status(int)>& visit);

// Removes the group and all below it; OK if it does not exist. EBUSY, as
// FAILED_PRECONDITION, if there are processes.
absl::Status RemoveGroupTree(const std::string& group);

// Appends the processes of the group and those below, as far as our PID
// namespace shows them.
absl::Status AppendPids(const std::string& group, std::vector<int>& pids);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_FILES_H_
