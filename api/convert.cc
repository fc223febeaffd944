#include "api/convert.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "store/objects.h"

namespace bulwark::api {

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  const absl::Time whole =
      absl::FromUnixSeconds(absl::ToUnixSeconds(time));  // rounds down
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - whole)));
  return timestamp;
}

std::string NameOf(const v1::ObjectReference& reference) {
  const std::string project = ProjectOr(reference.project());
  return absl::StrCat(reference.kind(), " ",
                      project == "default" ? "" : project + "/",
                      reference.name());
}

std::string NameOf(const v1::Object& object) {
  return NameOf(ReferenceTo(object));
}

v1::ObjectReference ReferenceTo(const v1::Object& object) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  v1::ObjectReference reference;
  reference.set_kind(store::KindOf(object));
  reference.set_project(ProjectOr(metadata.project()));
  reference.set_name(metadata.name());
  reference.set_uid(metadata.uid());
  return reference;
}

bool HasVolumePerReplica(const v1::ServiceSpec& spec) {
  for (const auto* list :
       {&spec.containers(), &spec.init_containers(), &spec.sidecars()}) {
    for (const v1::Container& container : *list) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (mount.per_replica()) return true;
      }
    }
  }
  return false;
}

std::string ServiceOfReplica(const std::string& replica) {
  const size_t suffix = replica.rfind('-');
  if (suffix == std::string::npos || suffix == 0) return "";
  const size_t slot = replica.rfind('-', suffix - 1);
  if (slot == std::string::npos) return "";
  return replica.substr(0, slot);
}

}  // namespace bulwark::api
