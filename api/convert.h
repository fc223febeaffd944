// Times and names between messages and values.
#ifndef API_CONVERT_H_
#define API_CONVERT_H_

#include <string>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::api {

inline absl::Duration ToDuration(const google::protobuf::Duration& d) {
  return absl::Seconds(d.seconds()) + absl::Nanoseconds(d.nanos());
}

inline absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

google::protobuf::Timestamp ToTimestamp(absl::Time time);

// An empty project means "default".
inline std::string ProjectOr(const std::string& project) {
  return project.empty() ? "default" : project;
}

// "service web", or "service shop/web" outside the default project.
std::string NameOf(const v1::Object& object);
std::string NameOf(const v1::ObjectReference& reference);

v1::ObjectReference ReferenceTo(const v1::Object& object);

// Whether some volume of the service belongs to one slot each.
bool HasVolumePerReplica(const v1::ServiceSpec& spec);

// Whether its driver writes files of ours.
inline bool HasLogFiles(const v1::Logging& log) {
  return log.driver() == v1::Logging::LOCAL ||
         log.driver() == v1::Logging::JSON_FILE;
}

// Before a job's name, where requests name a service or a job.
inline constexpr char kJobPrefix[] = "job/";

// "web" of the replica "web-0-k3v9q"; empty if it is no replica's name.
std::string ServiceOfReplica(const std::string& replica);

}  // namespace bulwark::api

#endif  // API_CONVERT_H_
