#include "dataplane/proxy_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "lb/control/frame.h"
#include "os/files.h"

namespace bulwark::dataplane {

absl::Status ProxyService::LoadLast() {
  ASSIGN_OR_RETURN(std::string bytes, os::ReadFile(path_, lb::kMaxFrameBytes));
  v1::Snapshot snapshot;
  if (!snapshot.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("read ", path_, ": not a snapshot"));
  }
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(last_applied_, ApplyToAll(snapshot));
  last_snapshot_ = std::move(bytes);
  return absl::OkStatus();
}

absl::StatusOr<v1::Applied> ProxyService::ApplyToAll(
    const v1::Snapshot& snapshot) {
  RETURN_IF_ERROR(plane_.Check(snapshot));
  std::vector<v1::ListenerError> errors;
  ASSIGN_OR_RETURN(std::vector<lb::SocketKey> keys,
                   dns_.Apply(snapshot, errors));
  ASSIGN_OR_RETURN(v1::Applied applied, plane_.Apply(snapshot, keys));
  for (v1::ListenerError& e : errors) *applied.add_errors() = std::move(e);
  return applied;
}

absl::StatusOr<v1::Applied> ProxyService::Apply(const v1::Snapshot& snapshot) {
  std::string bytes = snapshot.SerializeAsString();
  absl::MutexLock lock(&mu_);
  if (!last_snapshot_.empty() && bytes == last_snapshot_) return last_applied_;
  ASSIGN_OR_RETURN(v1::Applied applied, ApplyToAll(snapshot));
  // Kept after it is in force: a full disk must not keep connections on
  // endpoints that are gone. What a crash then brings back is older, and
  // bulwarkd applies again when it sees that.
  if (absl::Status s = os::WriteFileDurably(path_, bytes, 0600); !s.ok()) {
    LOG_ERROR("snapshot not kept", {{"error", s}});
  }
  last_snapshot_ = std::move(bytes);
  last_applied_ = applied;
  return applied;
}

v1::Response ProxyService::Handle(const v1::Request& request) {
  v1::Response response;
  switch (request.request_case()) {
    case v1::Request::kApply: {
      auto applied = Apply(request.apply());
      if (applied.ok()) {
        *response.mutable_applied() = *std::move(applied);
      } else {
        response.set_error(std::string(applied.status().message()));
        response.set_error_code(static_cast<int>(applied.status().code()));
      }
      return response;
    }
    case v1::Request::kStats:
      *response.mutable_stats() = plane_.GetStats();
      return response;
    default:
      response.set_error("answer request: it is of no known kind");
      response.set_error_code(
          static_cast<int>(absl::StatusCode::kInvalidArgument));
      return response;
  }
}

}  // namespace bulwark::dataplane
