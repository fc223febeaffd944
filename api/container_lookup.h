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
// have been started; with `previous` those of the last replica that has ended
// in each slot, or before the named one in its slot.
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

// One container of a replica, as far as the replica has come.
struct ContainerTarget {
  v1::Replica replica;         // none (no name): none has been made yet
  std::string container;       // its name; empty: not known yet
  v1::ContainerStatus status;  // without an id: it has not been started
  bool replica_ended = false;
  bool owner_ended = false;  // no further replica will come
  std::string message;       // why, if the owner says so

  ContainerRef Ref() const {
    return {replica.metadata().name(), container, status.id()};
  }
};

// The container that `target` names: a replica, a service or a job ("job/NAME",
// or "NAME" if no service has it); of several replicas one that is ready, one
// that runs, or the newest. `container`: empty: the first main container.
//   NOT_FOUND            no such replica, service, job or container
//   FAILED_PRECONDITION  `only_one`, and several run
absl::StatusOr<ContainerTarget> FindTarget(store::MetadataStore& store,
                                           const std::string& project,
                                           const std::string& target,
                                           const std::string& container,
                                           bool only_one);

// The same for a container that runs: FAILED_PRECONDITION if it does not.
absl::StatusOr<ContainerRef> FindRunning(store::MetadataStore& store,
                                         const std::string& project,
                                         const std::string& target,
                                         const std::string& container,
                                         bool only_one);

// What the replica was made of; empty if that is not kept any more.
absl::StatusOr<v1::Template> FindTemplate(store::MetadataStore& store,
                                          const std::string& project,
                                          const v1::Replica& replica);

// The engine knows containers by ids that nobody else needs.
absl::Status InWordsOfUsers(const absl::Status& status,
                            const ContainerRef& container);

// Why no replica of `target` can run a command: one of them is paused, or none
// is ready.
absl::Status NoneToRunIn(const std::string& target,
                         const std::vector<v1::Replica>& replicas);

}  // namespace bulwark::api

#endif  // API_CONTAINER_LOOKUP_H_
