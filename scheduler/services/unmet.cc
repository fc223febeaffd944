#include "scheduler/services/unmet.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "base/status.h"
#include "scheduler/services/dependencies.h"
#include "scheduler/services/reader.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

bool IsOnJob(const v1::Dependency& dependency) {
  return dependency.condition() == v1::Dependency::COMPLETED;
}

absl::StatusOr<std::string> Missing(store::MetadataStore& store,
                                    const std::string& project,
                                    const v1::Dependency& dependency) {
  const std::string& name = dependency.service();
  if (IsOnJob(dependency)) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> job,
                     FindObject(store, "job", project, name));
    return MissingOfJob(dependency, job.has_value() ? &job->job() : nullptr);
  }
  ASSIGN_OR_RETURN(std::optional<v1::Object> service,
                   FindService(store, project, name));
  ASSIGN_OR_RETURN(std::vector<v1::Replica> replicas,
                   ListReplicas(store, project, name));
  std::optional<v1::Scale> scale;
  if (service.has_value()) {
    ASSIGN_OR_RETURN(scale, FindScale(store, service->service()));
  }
  return MissingOf(dependency,
                   service.has_value() ? &service->service() : nullptr,
                   replicas, CountOf(scale));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> UnmetOf(
    store::MetadataStore& store, const std::string& project,
    const Dependencies& dependencies) {
  std::vector<std::string> unmet;
  for (const v1::Dependency& dependency : dependencies) {
    ASSIGN_OR_RETURN(std::string missing, Missing(store, project, dependency));
    if (!missing.empty()) unmet.push_back(std::move(missing));
  }
  return unmet;
}

bool DependsOn(const store::Record& record, absl::string_view kind,
               absl::string_view name) {
  // Who depends on it names it. Most do not, and need not be decoded.
  if (!absl::StrContains(record.value, name)) return false;
  const absl::StatusOr<v1::Object> object = store::Decode(record);
  if (!object.ok()) return false;
  const Dependencies& dependencies =
      object->has_job() ? object->job().spec().depends_on()
                        : object->service().spec().depends_on();
  return std::any_of(
      dependencies.begin(), dependencies.end(), [&](const v1::Dependency& d) {
        return d.service() == name && IsOnJob(d) == (kind == "job");
      });
}

}  // namespace bulwark::scheduler
