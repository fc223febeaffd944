// The system call filter of a profile, as instructions for the kernel.
//
// Default-deny: what is not in the table answers ENOSYS, as a kernel without
// that call would, so that programs fall back (and so does clone3, whose flags
// a filter cannot read). Calls that are known and refused answer EPERM. Only
// the native architecture is served.
#ifndef ENGINE_ISOLATORS_SECCOMP_H_
#define ENGINE_ISOLATORS_SECCOMP_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/container_spec.h"

namespace bulwark::engine {

// Empty for kPrivileged.
absl::StatusOr<std::string> CompileSeccomp(SecurityProfile profile);

// Tables of seccomp_table.cc; each ends with nullptr.
extern const char* const kAllowedSyscalls[];
extern const char* const kBuildSyscalls[];    // allowed in builds too
extern const char* const kRefusedSyscalls[];  // EPERM

}  // namespace bulwark::engine

#endif  // ENGINE_ISOLATORS_SECCOMP_H_
