// Makes launch plans of configurations. Pure: looks at nothing but its input.
#ifndef ENGINE_OCI_COMPILE_H_
#define ENGINE_OCI_COMPILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/config/seccomp.h"
#include "engine/oci/config/spec.h"
#include "engine/plan/plan_builder.h"

namespace bulwark::engine::oci {

// What a launch brings to the configuration. Borrowed for the call.
struct LaunchParts {
  const CgroupHost& host;
  const CgroupRecord& cgroup;
  const SeccompProgram& seccomp;
  // Where `start` knocks, and where its failures are written. Empty: the
  // program runs as soon as it can (`run`).
  std::string start_fifo;
  std::string start_error;
  // Whether who ordered the launch wants to be asked before the root changes.
  bool has_hooks = false;
  // A path of a user namespace for each mount that has id mappings of its own,
  // in the order of the configuration.
  std::vector<std::string> mount_namespaces;
  uint64_t own_capabilities = 0;
};

// The plan of a container. `spec.process` is set; without arguments it is one
// that is never to be started. INVALID_ARGUMENT names the part of the
// configuration that cannot be.
absl::StatusOr<CompiledPlan> CompileCreate(const Spec& spec,
                                           const LaunchParts& parts);

// A process in a container of which `namespaces` (CLONE_NEW* flags) are its
// own; the shim is started with a pidfd of its init.
struct JoinParts {
  uint64_t namespaces = 0;
  const CgroupRecord& cgroup;
  const SeccompProgram& seccomp;
  uint64_t own_capabilities = 0;
};
absl::StatusOr<CompiledPlan> CompileExec(const Process& process,
                                         const JoinParts& parts);

// Parts of the above.
absl::Status AddMounts(const Spec& spec, const LaunchParts& parts,
                       PlanBuilder& plan);
void AddDevices(const Spec& spec, PlanBuilder& plan);
// All from the account to the execution.
void AddProcess(const Process& process, const SeccompProgram& seccomp,
                uint64_t own_capabilities, PlanBuilder& plan);
bool HasNamespace(const Spec& spec, uint64_t type);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_COMPILE_H_
