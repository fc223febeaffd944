// What a replica consists of, and how its record tells it. Internal to the
// controller. Pure.
#ifndef SCHEDULER_REPLICA_VIEW_H_
#define SCHEDULER_REPLICA_VIEW_H_

#include <vector>

#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/replica/plan.h"

namespace bulwark::scheduler {

// The containers of a replica of `revision` in the order of their start, with
// their ids, without what the engine says. Without a revision (it is gone):
// those that the status names, as main containers.
std::vector<ContainerView> ContainersOf(const v1::Replica& replica,
                                        const v1::Revision* revision);

// Null if the template has no such container.
const v1::Container* FindContainer(const v1::Template& t,
                                   const ContainerView& container);

// Writes what the engine says into the status. Returns whether that changed
// it.
bool RecordContainers(const std::vector<ContainerView>& containers,
                      const v1::Revision* revision, v1::ReplicaStatus& status);

// Notes in the status that every running container has the limits of
// `revision`, or was refused them, once this is so. Returns whether that
// changed it.
bool RecordLimits(const std::vector<ContainerView>& containers,
                  const v1::Revision* revision, v1::ReplicaStatus& status);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_VIEW_H_
