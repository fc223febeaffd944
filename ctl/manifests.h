// The manifests that -f names.
#ifndef CTL_MANIFESTS_H_
#define CTL_MANIFESTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/context.h"
#include "manifest/codec.h"

namespace bulwark::ctl {

// Reads files, folders (their *.yaml, *.yml and *.json, by name) and "-"
// (standard input). Variables come from `env_files` and, before those, from
// the environment. Objects without a project get --project. The error carries
// all problems of all files; an object that is given twice is one.
absl::StatusOr<std::vector<manifest::ParsedObject>> ReadManifests(
    Context& context, const std::vector<std::string>& paths,
    const std::vector<std::string>& env_files);

// `status` with the server's violations mapped to the places in `objects`.
absl::Status MapViolations(const absl::Status& status,
                           const std::vector<manifest::ParsedObject>& objects);

}  // namespace bulwark::ctl

#endif  // CTL_MANIFESTS_H_
