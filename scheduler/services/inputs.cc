#include "scheduler/services/inputs.h"

#include "base/status.h"
#include "scheduler/rollout/template.h"
#include "store/objects.h"

namespace bulwark::scheduler {

absl::StatusOr<InputVersions> ReadInputs(
    store::MetadataStore& store, const std::string& project,
    const std::vector<v1::InputVersion>& inputs) {
  InputVersions versions;
  for (const v1::InputVersion& input : inputs) {
    absl::StatusOr<v1::Object> object = store::GetObject(
        store, store::ObjectKey(input.kind(), project, input.name()));
    if (absl::IsNotFound(object.status())) continue;
    if (!object.ok()) return object.status();
    if (store::MetadataOf(*object).has_delete_time()) continue;
    versions[{input.kind(), input.name()}] =
        object->has_secret() ? object->secret().status().version()
                             : object->config().status().version();
  }
  return versions;
}

absl::StatusOr<std::optional<v1::Template>> ReadDeclared(
    store::MetadataStore& store, const std::optional<v1::Object>& owner) {
  if (!owner.has_value() || store::MetadataOf(*owner).has_delete_time()) {
    return std::nullopt;
  }
  const v1::Template t = TemplateOf(*owner);
  if (!owner->has_service()) return t;
  const v1::Service& service = owner->service();
  ASSIGN_OR_RETURN(
      const InputVersions current,
      ReadInputs(store, service.metadata().project(), InputsOf(t)));
  if (!MissingInputs(t, current).empty()) return std::nullopt;
  return DeclaredTemplate(service.spec(), current);
}

}  // namespace bulwark::scheduler
