// How series name a replica. Pure.
#ifndef DAEMON_METRICS_REPLICA_LABELS_H_
#define DAEMON_METRICS_REPLICA_LABELS_H_

#include <map>
#include <string>

#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::daemon {

struct ReplicaLabels {
  std::string project;
  std::string service;  // empty for a job's
  std::string job;      // empty for a service's
  std::string replica;
};

// By uid.
using ReplicaNames = std::map<std::string, ReplicaLabels, std::less<>>;

// Objects without a project are of "default".
inline std::string ProjectOf(const v1::Metadata& metadata) {
  return metadata.project().empty() ? "default" : metadata.project();
}

inline ReplicaLabels LabelsOf(const v1::Replica& replica) {
  return {ProjectOf(replica.metadata()), replica.spec().service(),
          replica.spec().job(), replica.metadata().name()};
}

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_REPLICA_LABELS_H_
