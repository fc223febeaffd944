#include "api/demands.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "base/capabilities.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using google::protobuf::DynamicCastToGenerated;
using google::protobuf::Message;

constexpr char kDefault[] = "default";

// The containers of every kind that has some.
std::vector<v1::Container> ContainersOf(const v1::Object& object) {
  std::vector<v1::Container> containers;
  const auto add = [&containers](const auto& list) {
    containers.insert(containers.end(), list.begin(), list.end());
  };
  if (object.has_service()) {
    add(object.service().spec().containers());
    add(object.service().spec().init_containers());
    add(object.service().spec().sidecars());
  } else if (object.has_job()) {
    add(object.job().spec().containers());
    add(object.job().spec().init_containers());
  } else if (object.has_cron_job()) {
    add(object.cron_job().spec().job().containers());
    add(object.cron_job().spec().job().init_containers());
  }
  // A change of limits alone is none of what runs.
  for (v1::Container& container : containers) container.clear_resources();
  return containers;
}

bool SameContainers(const std::vector<v1::Container>& a,
                    const std::vector<v1::Container>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!google::protobuf::util::MessageDifferencer::Equals(a[i], b[i])) {
      return false;
    }
  }
  return true;
}

void AddContainer(const v1::Container& container, const std::string& project,
                  std::vector<Demand>& demands) {
  const auto add = [&](Right right, absl::string_view what) {
    demands.push_back({right,
                       {project},
                       absl::StrCat(what, " container ", container.name())});
  };
  for (const v1::SecretMount& secret : container.secrets()) {
    add(Right::kSecrets, absl::StrCat("give secret ", secret.name(), " to"));
  }
  for (const v1::VolumeMount& mount : container.volumes()) {
    if (mount.host_path().empty()) continue;
    add(Right::kHostPaths,
        absl::StrCat("mount the host's ", mount.host_path(), " in"));
  }
  for (const v1::DeviceMount& device : container.devices()) {
    add(Right::kPrivileged,
        absl::StrCat("give the host's ", device.host_path(), " to"));
  }
  if (container.profile() == v1::Container::PRIVILEGED) {
    add(Right::kPrivileged, "declare the privileged");
    return;
  }
  if (container.host_users()) {
    add(Right::kPrivileged, "give the host's users to");
  }
  const uint64_t profile = container.profile() == v1::Container::RESTRICTED
                               ? 0
                               : kBaselineCapabilities;
  for (const std::string& name : container.capabilities().add()) {
    if ((CapabilityMask(name).value_or(0) & ~profile) == 0) continue;
    add(Right::kPrivileged, absl::StrCat("add capability ", name, " to"));
  }
}

// What declaring, or deleting, an object needs whatever is in it.
Demand DemandOfObject(const std::string& kind, const std::string& project,
                      const std::string& name, bool deletes) {
  if (kind == "project") {
    Demand demand{Right::kAdmin, {kDefault}, ""};
    if (!deletes && name != kDefault) demand.projects.push_back(name);
    return demand;
  }
  return {kind == "secret" ? Right::kSecrets : Right::kDeploy,
          {ProjectOr(project)},
          ""};
}

std::vector<Demand> OfApply(const v1::ApplyRequest& request) {
  std::vector<Demand> demands;
  for (const v1::Object& object : request.objects()) {
    const std::string kind = store::KindOf(object);
    // Without a kind it is refused later, for everybody.
    if (kind.empty()) continue;
    const v1::Metadata& metadata = store::MetadataOf(object);
    demands.push_back(
        DemandOfObject(kind, metadata.project(), metadata.name(), false));
  }
  if (!request.prune_labels().empty() || demands.empty()) {
    demands.push_back(
        {Right::kDeploy, {ProjectOr(request.prune_project())}, ""});
  }
  return demands;
}

std::vector<Demand> OfDelete(const v1::DeleteRequest& request) {
  std::vector<Demand> demands;
  for (const v1::ObjectReference& object : request.objects()) {
    demands.push_back(
        DemandOfObject(object.kind(), object.project(), object.name(), true));
  }
  if (demands.empty()) demands.push_back({Right::kDeploy, {kDefault}, ""});
  return demands;
}

// Where objects of `kind` are seen by those who ask for `project`.
std::string PlaceToSee(const std::string& kind, const std::string& project,
                       const std::string& name) {
  if (kind == "project" && !name.empty()) return name;
  if (kind == "project" || kind == "node") return std::string(kAnyProject);
  return ProjectOr(project);
}

// The text of the request's field `name`; empty if it has none.
std::string FieldOf(const Message& request, const char* name) {
  const auto* field = request.GetDescriptor()->FindFieldByName(name);
  return field == nullptr ? ""
                          : request.GetReflection()->GetString(request, field);
}

// What some requests need beside their rule.
void AddExtra(const Message& request, const std::string& project,
              std::vector<Demand>& demands) {
  const auto host_path = [&](const v1::BackupRepository& repository) {
    demands.push_back({Right::kHostPaths,
                       {project},
                       absl::StrCat("use the host's ", repository.path())});
  };
  if (const auto* r =
          DynamicCastToGenerated<v1::BackupVolumeRequest>(&request)) {
    host_path(r->repository());
  } else if (const auto* r =
                 DynamicCastToGenerated<v1::ListBackupsRequest>(&request)) {
    host_path(r->repository());
  } else if (const auto* r =
                 DynamicCastToGenerated<v1::RestoreVolumeRequest>(&request)) {
    if (r->has_backup()) host_path(r->backup().repository());
  } else if (const auto* r =
                 DynamicCastToGenerated<v1::RollbackValueRequest>(&request)) {
    if (r->kind() != "config") {
      demands.push_back({Right::kSecrets, {project}, ""});
    }
  }
}

}  // namespace

std::vector<Demand> DemandsOf(const AccessRule& rule, const Message* request) {
  if (rule.scope == Scope::kHost) return {{rule.right, {kDefault}, ""}};
  if (rule.scope == Scope::kAnywhere || rule.scope == Scope::kMessage ||
      request == nullptr) {
    return {{rule.right, {std::string(kAnyProject)}, ""}};
  }
  if (const auto* r = DynamicCastToGenerated<v1::ApplyRequest>(request)) {
    return OfApply(*r);
  }
  if (const auto* r = DynamicCastToGenerated<v1::DeleteRequest>(request)) {
    return OfDelete(*r);
  }
  std::string project = FieldOf(*request, "project");
  if (rule.scope == Scope::kProject) {
    project = ProjectOr(project);
    std::vector<Demand> demands = {{rule.right, {project}, ""}};
    AddExtra(*request, project, demands);
    return demands;
  }
  return {{rule.right,
           {PlaceToSee(FieldOf(*request, "kind"), project,
                       FieldOf(*request, "name"))},
           ""}};
}

std::vector<Demand> DemandsOfChange(const v1::Object* before,
                                    const v1::Object* after) {
  std::vector<Demand> demands;
  const v1::Object* object = after == nullptr ? before : after;
  if (object == nullptr) return demands;
  const v1::Metadata& metadata = store::MetadataOf(*object);
  const std::string kind = store::KindOf(*object);
  if (after == nullptr || (before == nullptr && kind == "project")) {
    demands.push_back(
        DemandOfObject(kind, metadata.project(), metadata.name(), true));
  }
  if (after == nullptr) return demands;
  const std::vector<v1::Container> containers = ContainersOf(*after);
  if (before != nullptr && SameContainers(ContainersOf(*before), containers)) {
    return demands;
  }
  for (const v1::Container& container : containers) {
    AddContainer(container, ProjectOr(metadata.project()), demands);
  }
  return demands;
}

std::string VisibleIn(const v1::Object& object) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  return PlaceToSee(store::KindOf(object), metadata.project(), metadata.name());
}

}  // namespace bulwark::api
