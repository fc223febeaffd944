// What a service or job still waits for, read from the store.
#ifndef SCHEDULER_SERVICES_UNMET_H_
#define SCHEDULER_SERVICES_UNMET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_field.h"
#include "proto/bulwark/v1/service.pb.h"
#include "store/store.h"

namespace bulwark::scheduler {

using Dependencies = google::protobuf::RepeatedPtrField<v1::Dependency>;

// A sentence for each of `dependencies`, of an object of `project`, that is not
// there yet (dependencies.h).
absl::StatusOr<std::vector<std::string>> UnmetOf(
    store::MetadataStore& store, const std::string& project,
    const Dependencies& dependencies);

// Whether the service or job of `record` depends on the object of `kind`
// ("service" or "job") and that name in its project. One that cannot be read
// does not.
bool DependsOn(const store::Record& record, absl::string_view kind,
               absl::string_view name);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_UNMET_H_
