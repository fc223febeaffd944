// Which jobs have a volume now.
#ifndef CTL_VOLUME_USERS_H_
#define CTL_VOLUME_USERS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::ctl {

// The names of those of `jobs` that have executions and mount `volume`, itself
// or as the one of a slot. Pure.
std::vector<std::string> JobsThatMount(const std::vector<v1::Object>& jobs,
                                       absl::string_view volume);

}  // namespace bulwark::ctl

#endif  // CTL_VOLUME_USERS_H_
