// Credentials for registries that Docker's configuration file has.
#ifndef CTL_REGISTRY_AUTH_H_
#define CTL_REGISTRY_AUTH_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "ctl/context.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// "docker.io" of "nginx", "host:5000" of "host:5000/app:1".
std::string RegistryOf(absl::string_view reference);

// What $DOCKER_CONFIG/config.json, else ~/.docker/config.json, has for the
// registry: from the program docker-credential-NAME that it names for it
// (credHelpers) or for all (credsStore), else from the file itself (auths). An
// identity token has the user's name "<token>". What cannot be read is warned
// of on standard error, and nothing then. Blocks for as long as the program
// takes, at most half a minute.
std::optional<v1::RegistryCredentials> FindCredentials(
    Context& context, const std::string& registry);

}  // namespace bulwark::ctl

#endif  // CTL_REGISTRY_AUTH_H_
