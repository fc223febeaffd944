#include "os/kernel.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::os {
namespace {

bool OverlayTakesDescriptors() {
  UniqueFd fs(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  UniqueFd layer(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return fs.ok() && layer.ok() &&
         syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_FD, "lowerdir+", nullptr,
                 layer.get()) == 0;
}

bool TmpfsStaysInMemory() {
  UniqueFd fs(static_cast<int>(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  return fs.ok() && syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_FLAG, "noswap",
                            nullptr, 0) == 0;
}

}  // namespace

absl::StatusOr<KernelVersion> ParseKernelVersion(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  KernelVersion version;
  if (parts.size() >= 2) {
    const absl::string_view minor =
        parts[1].substr(0, parts[1].find_first_not_of("0123456789"));
    if (absl::SimpleAtoi(parts[0], &version.major) &&
        absl::SimpleAtoi(minor, &version.minor) && version.major > 0) {
      return version;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a kernel version such as 6.1"));
}

absl::StatusOr<KernelFeatures> ProbeKernel(const std::string& max_kernel) {
  utsname name;
  if (uname(&name) != 0) return ErrnoStatus("ask", "kernel version");
  KernelFeatures features;
  ASSIGN_OR_RETURN(features.version, ParseKernelVersion(name.release));
  KernelVersion bound = {1 << 20, 0};
  if (!max_kernel.empty()) {
    ASSIGN_OR_RETURN(bound, ParseKernelVersion(max_kernel));
  }
  features.overlay_layer_fds =
      bound.AtLeast(6, 13) && OverlayTakesDescriptors();
  features.overlay_detached_layers = features.overlay_layer_fds &&
                                     bound.AtLeast(6, 15) &&
                                     features.version.AtLeast(6, 15);
  features.tmpfs_noswap = bound.AtLeast(6, 4) && TmpfsStaysInMemory();
  return features;
}

}  // namespace bulwark::os
