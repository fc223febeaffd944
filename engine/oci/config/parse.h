// Reads config.json. The text is untrusted.
#ifndef ENGINE_OCI_CONFIG_PARSE_H_
#define ENGINE_OCI_CONFIG_PARSE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

inline constexpr size_t kMaxConfigBytes = 16 << 20;

// INVALID_ARGUMENT names the member and what is wrong with it: a wrong type, a
// missing one that the specification requires, a value that it does not know or
// that contradicts another. `bundle`, absolute, is what a relative root.path
// and the sources of bind mounts are taken from.
absl::StatusOr<Spec> ParseSpec(absl::string_view text,
                               absl::string_view bundle);

// The object `process` alone, as `exec --process` takes it.
absl::StatusOr<Process> ParseProcess(absl::string_view text);

// The object `linux.resources` alone, as `update --resources` takes it.
absl::StatusOr<Resources> ParseResources(absl::string_view text);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_PARSE_H_
