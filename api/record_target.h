// What a call on a container is about, for the audit log.
#ifndef API_RECORD_TARGET_H_
#define API_RECORD_TARGET_H_

#include <string>

#include "api/caller.h"
#include "store/store.h"

namespace bulwark::api {

// Has the caller's record refer to the replica, and to the service or job that
// it is of, whichever the request named. Before the record's Begin(); in calls
// that have begun, the record of the end has it.
void ReferToReplica(store::MetadataStore& store, const std::string& project,
                    const std::string& replica, const Caller& caller);

}  // namespace bulwark::api

#endif  // API_RECORD_TARGET_H_
