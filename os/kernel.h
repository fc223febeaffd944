// Features of the running kernel that the engine uses if they are there.
#ifndef OS_KERNEL_H_
#define OS_KERNEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::os {

struct KernelVersion {
  int major = 0;
  int minor = 0;

  bool AtLeast(int wanted_major, int wanted_minor) const {
    return major != wanted_major ? major > wanted_major : minor >= wanted_minor;
  }
};

// "6.1", "6.1.0-18-amd64". INVALID_ARGUMENT if it does not start like that.
absl::StatusOr<KernelVersion> ParseKernelVersion(absl::string_view text);

struct KernelFeatures {
  KernelVersion version;
  // Overlay layers given as descriptors (Linux 6.13): the mount is made without
  // ever being attached to the host's tree.
  bool overlay_layer_fds = false;
  // The same for layers of a mount that is attached nowhere (Linux 6.15).
  bool overlay_detached_layers = false;
  // A tmpfs that is never swapped out (Linux 6.4).
  bool tmpfs_noswap = false;
};

// Asks the kernel. Features newer than `max_kernel` ("6.1"; empty: no bound)
// are reported as absent, to run the paths of older kernels on this one.
absl::StatusOr<KernelFeatures> ProbeKernel(const std::string& max_kernel);

}  // namespace bulwark::os

#endif  // OS_KERNEL_H_
