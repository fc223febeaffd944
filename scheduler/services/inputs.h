// The secrets and configs that a template reads, as they are in the store.
#ifndef SCHEDULER_SERVICES_INPUTS_H_
#define SCHEDULER_SERVICES_INPUTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/rollout/inputs.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Of those in `inputs` that exist in the project and are not being deleted.
absl::StatusOr<InputVersions> ReadInputs(
    store::MetadataStore& store, const std::string& project,
    const std::vector<v1::InputVersion>& inputs);

// What the service or job declares now; nothing if it is gone, is being deleted,
// or lacks something that its containers read.
absl::StatusOr<std::optional<v1::Template>> ReadDeclared(
    store::MetadataStore& store, const std::optional<v1::Object>& owner);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_INPUTS_H_
