// Which containers a request is about.
#ifndef API_CONTAINER_LOOKUP_H_
#define API_CONTAINER_LOOKUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

struct ContainerRef {
  std::string replica;
  std::string container;
  std::string id;  // of the engine
};

struct LogTargets {
  std::vector<ContainerRef> containers;  // in the order of slots
  // Nothing more will come: the replica has ended, the service is gone, or the
  // job has ended.
  bool final = false;
  // Changes after it may add containers.
  uint64_t revision = 0;
};

// The containers of the request's service, job ("job/NAME") or replica that
// have been started; with `previous` those of the last replica that has ended in
// each slot, or before the named one in its slot.
//   NOT_FOUND         no such service, job or replica, or no such container
//   INVALID_ARGUMENT  neither is named
absl::StatusOr<LogTargets> FindLogTargets(store::MetadataStore& store,
                                          const v1::LogsRequest& request);

// The container to run a command in.
//   NOT_FOUND            no such service, job, replica or container
//   FAILED_PRECONDITION  no replica of the service is ready, or the container
//                        does not run
absl::StatusOr<ContainerRef> FindExecTarget(store::MetadataStore& store,
                                            const v1::ExecStart& start);

}  // namespace bulwark::api

#endif  // API_CONTAINER_LOOKUP_H_
