// The system call filter of a configuration, as instructions for the kernel.
//
// What libseccomp and runc make of the same configuration, in a fraction of the
// time: a launch has no milliseconds for it. Pure; any thread.
#ifndef ENGINE_OCI_CONFIG_SECCOMP_H_
#define ENGINE_OCI_CONFIG_SECCOMP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

struct SeccompProgram {
  std::string instructions;  // of sock_filter; 4096 of them at most
  // For seccomp(2), SECCOMP_FILTER_FLAG_*. With NEW_LISTENER some call asks the
  // one behind listener_path. It may be any call, those between seccomp(2) and
  // execve(2) too: whoever installs the filter hands the descriptor on without
  // help of the process that has it.
  uint32_t flags = 0;
};

// INVALID_ARGUMENT, naming the field, for a name of an action, operator, flag
// or architecture that the specification does not have, for an errno where the
// action has none, for an argument's index over 5, for SCMP_ACT_NOTIFY without
// a listener's path, and for what needs too many instructions. Names of system
// calls that no supported kernel has are skipped, and so are architectures that
// this machine does not run.
absl::StatusOr<SeccompProgram> CompileSeccomp(const Seccomp& profile);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_SECCOMP_H_
