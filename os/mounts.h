// Mounts of this process's mount namespace.
#ifndef OS_MOUNTS_H_
#define OS_MOUNTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::os {

struct MountPoint {
  std::string path;
  std::string type;    // "ext4"
  std::string source;  // "/dev/loop3"
};

// Of /proc/PID/mountinfo (proc(5)), in its order: what was mounted later comes
// later. Lines that do not parse are left out.
std::vector<MountPoint> ParseMounts(absl::string_view mountinfo);
absl::StatusOr<std::vector<MountPoint>> ListMounts();

// Whether a process in another mount namespace has something of `source` (a
// device) mounted. Looks at every process: not for every day.
absl::StatusOr<bool> IsMountedElsewhere(const std::string& source);

// mount(2). `flags` are MS_*.
absl::Status Mount(const std::string& source, const std::string& path,
                   const std::string& type, unsigned long flags,
                   const std::string& options);

// Takes down the uppermost mount at `path`; OK if there is none.
// FAILED_PRECONDITION while files below it are open in this namespace.
absl::Status Unmount(const std::string& path);

// Takes down every mount at or below `path`, the latest first. Those that are
// busy are detached: they end with their last user.
absl::Status UnmountBelow(const std::string& path);

}  // namespace bulwark::os

#endif  // OS_MOUNTS_H_
