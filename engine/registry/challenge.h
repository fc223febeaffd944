// WWW-Authenticate headers (RFC 9110, section 11.6.1) as registries send them.
#ifndef ENGINE_REGISTRY_CHALLENGE_H_
#define ENGINE_REGISTRY_CHALLENGE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::engine::registry {

struct Challenge {
  std::string scheme;                         // lower case: "bearer", "basic"
  std::map<std::string, std::string> params;  // names in lower case
};

// Reads one header with one challenge; what it cannot read it leaves out.
Challenge ParseChallenge(absl::string_view header);

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_CHALLENGE_H_
