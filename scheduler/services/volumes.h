// What the volumes that a service mounts mean for its plan.
#ifndef SCHEDULER_SERVICES_VOLUMES_H_
#define SCHEDULER_SERVICES_VOLUMES_H_

#include "absl/status/status.h"
#include "scheduler/rollout/plan.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Fills view.held and view.single_writer; the rest of it has been read.
absl::Status ReadVolumes(store::MetadataStore& store, const store::Key& key,
                         ServiceView& view);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_VOLUMES_H_
