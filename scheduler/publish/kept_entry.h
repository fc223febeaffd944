// What the data plane goes on serving for a service whose record cannot be
// read. Pure.
#ifndef SCHEDULER_PUBLISH_KEPT_ENTRY_H_
#define SCHEDULER_PUBLISH_KEPT_ENTRY_H_

#include <string>
#include <vector>

#include "proto/bulwark/dataplane/v1/snapshot.pb.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

// The part of `all` that is there for `service` ("PROJECT/NAME"): its pools,
// listeners and names. Names are looked for in every network of `all` that has
// a name of the project's.
dataplane::v1::Snapshot EntryOf(const dataplane::v1::Snapshot& all,
                                const std::string& service);

// Adds such a part to a new snapshot that lacks the service. Endpoints follow
// `replicas`: one that is on its way out drains, one that has ended is left
// out, all others stay as they were. What another service has taken meanwhile,
// an address with its port or a name, is that one's.
void AddEntry(const dataplane::v1::Snapshot& entry,
              const std::vector<v1::Replica>& replicas,
              dataplane::v1::Snapshot& out);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_KEPT_ENTRY_H_
