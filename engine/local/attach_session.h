// Attaches to a container through its shim.
#ifndef ENGINE_LOCAL_ATTACH_SESSION_H_
#define ENGINE_LOCAL_ATTACH_SESSION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/container_access.h"

namespace bulwark::engine {

// To the shim with this pidfd that listens in `runtime_dir`. UNAVAILABLE if it
// hangs or is gone; else as ContainerAccess::Attach().
absl::StatusOr<std::unique_ptr<AttachSession>> AttachToShim(
    const std::string& runtime_dir, UniqueFd shim, const AttachOptions& options,
    Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_ATTACH_SESSION_H_
