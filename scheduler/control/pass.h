// How the pass of a controller over one object ends: one commit.
#ifndef SCHEDULER_CONTROL_PASS_H_
#define SCHEDULER_CONTROL_PASS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::scheduler {

// One object as a pass found it and leaves it.
struct ObjectChange {
  const store::Key& key;
  uint64_t revision = 0;  // that `before` was read at
  const v1::Object& before;
  const v1::Object& after;
  bool durable = false;  // the batch must outlive a crash of the host
};

// Completes a pass's batch with its object. False if there is nothing to
// commit: the object stays as it was, and nothing durable is in the batch.
bool AddChange(const ObjectChange& change, store::Batch& batch);

// Has a replica end whose owner is gone. ABORTED if somebody else wrote it
// meanwhile.
absl::Status StopOrphan(store::MetadataStore& store, v1::Replica replica,
                        absl::string_view reason);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_CONTROL_PASS_H_
