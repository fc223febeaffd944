#include "scheduler/control/pass.h"

#include <string>
#include <utility>

#include "store/objects.h"

namespace bulwark::scheduler {

bool AddChange(const ObjectChange& change, store::Batch& batch) {
  std::string value = store::Encode(change.after);
  if (value != store::Encode(change.before)) {
    batch.Put(change.key, std::move(value), change.revision);
  } else if (change.durable) {
    // The plan is only right for the declaration that it was made from.
    batch.Require(change.key, change.revision);
  } else {
    return false;
  }
  if (!change.durable) batch.NotDurable();
  batch.Essential();
  return true;
}

absl::Status StopOrphan(store::MetadataStore& store, v1::Replica replica,
                        absl::string_view reason) {
  v1::Object object;
  *object.mutable_replica() = std::move(replica);
  v1::ReplicaSpec& spec = *object.mutable_replica()->mutable_spec();
  spec.set_goal(v1::ReplicaSpec::STOP);
  spec.set_reason(std::string(reason));
  return store
      .Commit(store::Batch()
                  .Put(store::KeyOf(object), store::Encode(object),
                       store::RevisionOf(object))
                  .Essential())
      .status();
}

}  // namespace bulwark::scheduler
