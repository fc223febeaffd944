#include "api/record_target.h"

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/audit/call_record.h"
#include "api/convert.h"
#include "store/objects.h"

namespace bulwark::api {

void ReferToReplica(store::MetadataStore& store, const std::string& project,
                    const std::string& replica, const Caller& caller) {
  if (caller.record() == nullptr) return;
  v1::AuditRecord& record = caller.record()->record();
  const auto add = [&](absl::string_view kind, const std::string& name) {
    v1::ObjectReference& object = *record.add_objects();
    object.set_kind(std::string(kind));
    object.set_project(ProjectOr(project));
    object.set_name(name);
  };
  const absl::StatusOr<v1::Object> found = store::GetObject(
      store, store::ObjectKey("replica", ProjectOr(project), replica));
  if (found.ok()) {
    const v1::ReplicaSpec& spec = found->replica().spec();
    if (spec.job().empty()) {
      add("service", spec.service());
    } else {
      add("job", spec.job());
    }
  }
  add("replica", replica);
}

}  // namespace bulwark::api
