// What a record says of a call. Pure.
#ifndef API_AUDIT_DESCRIBE_H_
#define API_AUDIT_DESCRIBE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::api {

// A record of a call of `method` by `actor`: its project, the objects that the
// request (null: a stream) names, and what it asks, "replicas 3, to revision
// 4". Never in it: values of secrets, passwords, contents, values of variables
// and build arguments.
v1::AuditRecord Describe(absl::string_view method, const v1::Identity& actor,
                         const google::protobuf::Message* request);

// The objects that an apply changed, and how.
void DescribeResults(const v1::ApplyResponse& response,
                     v1::AuditRecord& record);

// The start of `text`, in printable ASCII alone: it may be anything.
std::string ShortText(absl::string_view text);

}  // namespace bulwark::api

#endif  // API_AUDIT_DESCRIBE_H_
