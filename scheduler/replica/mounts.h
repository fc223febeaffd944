// The mounts of a container from volumes and host directories.
#ifndef SCHEDULER_REPLICA_MOUNTS_H_
#define SCHEDULER_REPLICA_MOUNTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/entropy.h"
#include "engine/container_spec.h"
#include "proto/bulwark/v1/service.pb.h"
#include "store/store.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

// Records each Volume that does not exist yet (durably, before its data is
// made), makes its data, and returns what to mount. A slot's own volume is like
// the declared one of the mount's name, if there is one. FAILED_PRECONDITION
// for a volume that is being deleted, UNAVAILABLE while one is being restored.
// Idempotent, thread-safe.
absl::StatusOr<std::vector<engine::Mount>> EnsureMounts(
    const v1::Replica& replica, const v1::Container& container,
    store::MetadataStore& store, volumes::Volumes& volumes, Entropy& entropy,
    absl::Time now);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_MOUNTS_H_
