// Whether what a service needs is there. Pure.
#ifndef SCHEDULER_SERVICES_DEPENDENCIES_H_
#define SCHEDULER_SERVICES_DEPENDENCIES_H_

#include <optional>
#include <string>
#include <vector>

#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// A sentence that says what is missing for `dependency`; empty if nothing is.
// `service` is null if there is no such service; `replicas` are its replicas.
//
// Looked at are the replicas themselves, never a stored condition: after a
// reboot that would still tell of the time before. HEALTHY asks for enough
// ready replicas, and does not wait for minHealthyTime, which would add up over
// a chain of services.
// `scaled` is the count that its autoscaler has decided on, if it has one.
std::string MissingOf(const v1::Dependency& dependency,
                      const v1::Service* service,
                      const std::vector<v1::Replica>& replicas,
                      std::optional<int> scaled = std::nullopt);

// The same for COMPLETED; `job` is null if there is no such job. What has
// completed once stays so, also over a reboot.
std::string MissingOfJob(const v1::Dependency& dependency, const v1::Job* job);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_DEPENDENCIES_H_
