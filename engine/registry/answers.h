// Internal to RegistryClient: what registries answer.
#ifndef ENGINE_REGISTRY_ANSWERS_H_
#define ENGINE_REGISTRY_ANSWERS_H_

#include <string>

#include "absl/status/status.h"
#include "engine/registry/http.h"

namespace bulwark::engine::registry {

// Worth another try.
inline bool IsTransient(int status) {
  return status == 408 || status == 429 || status >= 500;
}

inline bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

// What a registry says about an error, " (in brackets)", as far as it is
// readable; else empty.
std::string Explanation(const HttpResponse& response);

// "BLOB_UNKNOWN" and the like, or empty.
std::string ErrorCode(const HttpResponse& response);

// What a transfer that stalled becomes when it is not tried again.
absl::Status GiveUp(const absl::Status& stalled);

// The address that `Link: <…>; rel="next"` names, as it stands there; else
// empty.
std::string NextLink(const HttpResponse& response);

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_ANSWERS_H_
