// Loop devices: files as block devices (loop(4)).
//
// They are global to the host. Every one made here clears itself with its last
// user (LO_FLAGS_AUTOCLEAR), so that a process that dies leaves none behind.
#ifndef OS_LOOP_H_
#define OS_LOOP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::os {

struct LoopDevice {
  UniqueFd fd;       // keeps it until something else (a mount) does
  std::string path;  // "/dev/loop3"
};

// Makes a loop device of `file`, past the page cache where the file system can
// do that. RESOURCE_EXHAUSTED if the kernel has none to give. `node_dir` is
// where a device's node is made if /dev has none. Thread-safe.
absl::StatusOr<LoopDevice> AttachLoop(const std::string& file, bool read_only,
                                      const std::string& node_dir);

// The file behind "/dev/loop3"; NOT_FOUND if that is no loop device in use.
absl::StatusOr<std::string> LoopBackingFile(const std::string& device);

// The device that has `file` now, under whatever name; empty: none. A file
// that is mounted must not be attached a second time: its two devices would
// not know of each other's writes. `node_dir` as for AttachLoop().
absl::StatusOr<std::string> FindLoop(const std::string& file,
                                     const std::string& node_dir);

// Tells the device that its file has grown.
absl::Status RefreshLoopSize(const std::string& device);

}  // namespace bulwark::os

#endif  // OS_LOOP_H_
