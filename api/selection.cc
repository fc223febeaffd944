#include "api/selection.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/convert.h"
#include "api/errors.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

std::string OwnerText(const std::string& service, const std::string& job) {
  return job.empty() ? service : absl::StrCat(kJobPrefix, job);
}

// The service, or "job/NAME", that `object` belongs to; empty if none.
std::string OwnerOf(const v1::Object& object) {
  if (object.has_replica()) {
    const v1::ReplicaSpec& spec = object.replica().spec();
    return OwnerText(spec.service(), spec.job());
  }
  if (object.has_revision()) {
    return OwnerText(object.revision().service(), object.revision().job());
  }
  if (object.has_service()) return object.service().metadata().name();
  if (!object.has_event()) return "";
  const v1::ObjectReference& subject = object.event().subject();
  if (subject.kind() == "service") return subject.name();
  if (subject.kind() == "job") return OwnerText("", subject.name());
  return subject.kind() == "replica" ? ServiceOfReplica(subject.name()) : "";
}

}  // namespace

absl::Status CheckKind(absl::string_view kind) {
  const std::vector<std::string> kinds = store::AllKinds();
  if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) {
    return absl::OkStatus();
  }
  return WithRemedy(
      absl::InvalidArgumentError(absl::StrCat("\"", kind, "\" is not a kind")),
      absl::StrCat("use one of: ", absl::StrJoin(kinds, ", ")));
}

template <typename Request>
absl::StatusOr<Selection> Selection::Read(const Request& request) {
  RETURN_IF_ERROR(CheckKind(request.kind()));
  Selection selection;
  selection.filter_.kind = request.kind();
  if (request.project() != "*") {
    selection.filter_.project = ProjectOr(request.project());
  }
  selection.service_ = request.service();
  if (!request.service().empty() && request.kind() != "replica" &&
      request.kind() != "revision" && request.kind() != "event" &&
      request.kind() != "service") {
    return absl::InvalidArgumentError(absl::StrCat(
        "list ", request.kind(), "s of service ", request.service(),
        ": only replicas, revisions and events belong to a service"));
  }
  selection.labels_.insert(request.labels().begin(), request.labels().end());
  return selection;
}

absl::StatusOr<Selection> Selection::Of(const v1::ListRequest& request) {
  return Read(request);
}

absl::StatusOr<Selection> Selection::Of(const v1::WatchRequest& request) {
  ASSIGN_OR_RETURN(Selection selection, Read(request));
  selection.name_ = request.name();
  selection.filter_.name_prefix = request.name();
  return selection;
}

bool Selection::Matches(const v1::Object& object) const {
  const v1::Metadata& metadata = store::MetadataOf(object);
  if (!name_.empty() && metadata.name() != name_) return false;
  if (!service_.empty() && OwnerOf(object) != service_) return false;
  for (const auto& [key, value] : labels_) {
    const auto found = metadata.labels().find(key);
    if (found == metadata.labels().end() || found->second != value) {
      return false;
    }
  }
  return true;
}

}  // namespace bulwark::api
