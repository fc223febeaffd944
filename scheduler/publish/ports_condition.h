// The condition PortsOpen of a service. Pure.
#ifndef SCHEDULER_PUBLISH_PORTS_CONDITION_H_
#define SCHEDULER_PUBLISH_PORTS_CONDITION_H_

#include <optional>

#include "proto/bulwark/dataplane/v1/snapshot.pb.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

// Whether the error matters: a host without IPv6 is no error.
bool IsPortFailure(const dataplane::v1::ListenerError& error);

// What `applied` means for `service`; none if it has no port.
std::optional<v1::Condition> PortsCondition(
    const v1::Service& service, const dataplane::v1::Applied& applied);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_PORTS_CONDITION_H_
