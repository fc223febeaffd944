// Hands the listener of a system call filter (SCMP_ACT_NOTIFY) to its agent.
#ifndef ENGINE_OCI_LISTENER_H_
#define ENGINE_OCI_LISTENER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/oci/config/spec.h"
#include "engine/oci/state.h"
#include "os/process.h"

namespace bulwark::engine::oci {

// Whether some call is left to an agent.
bool HasListener(const Spec& spec);

// Waits until the process has loaded its filter, takes the listener out of it,
// and sends it with the specification's "container process state" to
// `seccomp.listener_path`; then lets the process go on by setting the word at
// `address` of its memory: it may make no system call before that. OK also if
// the process ended meanwhile. UNAVAILABLE if the agent cannot be reached.
absl::Status HandOverListener(const os::ProcessRef& process, uint64_t address,
                              const Seccomp& seccomp, const State& state,
                              Status status, absl::Duration timeout,
                              Clock& clock);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_LISTENER_H_
