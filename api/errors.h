// Errors on their way to a client: absl::Status here, grpc::Status outside.
#ifndef API_ERRORS_H_
#define API_ERRORS_H_

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::api {

// `status` carrying `detail`; OK stays OK.
absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail);

// `status` with a hint of what would mend it, as an ErrorDetail.
absl::Status WithRemedy(absl::Status status, absl::string_view remedy);

// What WithDetail() put in, or what FromGrpc() received.
std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status);

// The code as it is, the message, and the serialized ErrorDetail, if any, as
// binary details. Clients refuse trailers of more than 8 KiB, so the message is
// cut at 1 KiB, and violations that do not fit into 5 KiB are replaced by a
// last one that counts them. The message is made valid UTF-8.
grpc::Status ToGrpc(const absl::Status& status);

// The inverse, for clients.
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace bulwark::api

#endif  // API_ERRORS_H_
