#include "api/plan.h"

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "api/events.h"
#include "store/objects.h"

namespace bulwark::api {

const v1::Object* StoredObjects::Find(const store::Key& key) const {
  const auto found = objects.find(key);
  return found == objects.end() ? nullptr : &found->second;
}

std::vector<std::string> PossibleUsers(const StoredObjects& stored,
                                       const v1::Object& object) {
  const store::Key key = store::KeyOf(object);
  const bool is_part =
      IsValueKind(object) || object.has_volume() || object.has_network();
  std::vector<std::string> users;
  for (const store::Key& bad : stored.unreadable) {
    const bool is_workload =
        bad.kind == "service" || bad.kind == "job" || bad.kind == "cron-job";
    const bool may_use =
        object.has_project()
            ? bad.kind != "project" && bad.project == key.name
            : is_part && is_workload && bad.project == key.project;
    if (!may_use) continue;
    users.push_back(absl::StrCat(bad.kind, "/", bad.name,
                                 " (perhaps: its record cannot be read)"));
  }
  return users;
}

const std::vector<std::string>& DeclaredKinds() {
  static const auto& kinds = *new std::vector<std::string>{
      "service", "job",     "cron-job",       "secret", "config",
      "volume",  "network", "network-policy", "project"};
  return kinds;
}

void PutWithEvent(const v1::Object& object, absl::string_view message,
                  const PlanContext& context, store::Batch& batch) {
  batch.Put(store::KeyOf(object), store::Encode(object),
            store::RevisionOf(object));
  const v1::Object event = NewEvent(
      object, context.reason,
      absl::StrCat(message, context.detail.empty() ? "" : ": ", context.detail),
      context.caller, context.now, context.entropy);
  batch.Put(store::KeyOf(event), store::Encode(event), 0);
}

void MarkDeleted(v1::Object object, const PlanContext& context,
                 store::Batch& batch) {
  PlanContext deletion = context;
  deletion.reason = "DeleteRequested";
  const std::string message = absl::StrCat(
      NameOf(object), " is to be deleted, asked by ", context.caller.name());
  if (object.has_project()) {
    batch.Delete(store::KeyOf(object), store::RevisionOf(object));
    return;
  }
  if (IsValueKind(object)) {
    RemoveVersions(object, batch);
    batch.Delete(store::KeyOf(object), store::RevisionOf(object));
    const v1::Object event = NewEvent(
        object, "Deleted",
        absl::StrCat(NameOf(object), " and its versions were deleted by ",
                     context.caller.name()),
        context.caller, context.now, context.entropy);
    batch.Put(store::KeyOf(event), store::Encode(event), 0);
    return;
  }
  *store::MutableMetadata(object).mutable_delete_time() =
      ToTimestamp(context.now);
  PutWithEvent(object, message, deletion, batch);
}

}  // namespace bulwark::api
