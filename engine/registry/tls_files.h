// Certificates for single registries, laid out as Docker has them:
// DIRECTORY/HOST[:PORT]/*.crt are further authorities, NAME.cert with NAME.key
// is what we prove ourselves with.
#ifndef ENGINE_REGISTRY_TLS_FILES_H_
#define ENGINE_REGISTRY_TLS_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/registry/http.h"

namespace bulwark::engine::registry {

// Of the first of `directories` that has something for `registry`; nothing if
// none has. FAILED_PRECONDITION, naming the file, if what is there cannot be
// used.
absl::StatusOr<TlsFiles> FindTlsFiles(
    const std::vector<std::string>& directories, const std::string& registry);

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_TLS_FILES_H_
