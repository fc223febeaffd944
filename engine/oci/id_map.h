// Maps of user namespaces.
#ifndef ENGINE_OCI_ID_MAP_H_
#define ENGINE_OCI_ID_MAP_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// Writes the maps of a process in a user namespace that has none.
// INVALID_ARGUMENT if the kernel refuses them.
absl::Status WriteIdMaps(int pid, const std::vector<IdMapping>& uids,
                         const std::vector<IdMapping>& gids);

// A user namespace with these maps that no process is in, for id-mapped
// mounts.
absl::StatusOr<UniqueFd> MakeUserNamespace(const std::vector<IdMapping>& uids,
                                           const std::vector<IdMapping>& gids);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_ID_MAP_H_
