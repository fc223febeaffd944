// A device policy as a program that the kernel asks about every mknod and open
// of a device in a version 2 group (BPF_PROG_TYPE_CGROUP_DEVICE).
#ifndef ENGINE_DEVICES_DEVICE_PROGRAM_H_
#define ENGINE_DEVICES_DEVICE_PROGRAM_H_

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "engine/devices/device_policy.h"

namespace bulwark::engine {

// Returns 1 for what is allowed, 0 for what is not. Pure. An access of several
// bits (O_RDWR) is allowed if each bit is.
std::vector<bpf_insn> CompileDeviceProgram(const DevicePolicy& policy);

// Whether the kernel lets us filter the devices of groups in the version 2
// hierarchy `unified` at all. Cheap.
bool CanFilterDevices(const std::string& unified);

// The program in the kernel. FAILED_PRECONDITION, UNIMPLEMENTED or
// PERMISSION_DENIED where the kernel does not let us.
absl::StatusOr<UniqueFd> LoadDeviceProgram(
    const std::vector<bpf_insn>& program);

// From now on it holds for the group and those below it, beside programs that
// are attached above. It goes away with the group.
absl::Status AttachDeviceProgram(int program, int cgroup);

}  // namespace bulwark::engine

#endif  // ENGINE_DEVICES_DEVICE_PROGRAM_H_
