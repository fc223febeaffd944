#include "scheduler/services/unmet.h"

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

absl::StatusOr<std::vector<std::string>> DependentsOf(
    store::MetadataStore& store, const std::string& kind,
    const std::string& project, const std::string& name) {
  std::vector<std::string> dependents;
  for (const char* of : {"service", "job"}) {
    store::Filter filter;
    filter.kind = of;
    filter.project = project;
    ASSIGN_OR_RETURN(const store::Listing all, store.List(filter));
    for (const store::Record& record : all.records) {
      // Who depends on it names it. Most do not, and need not be decoded.
      if (!absl::StrContains(record.value, name)) continue;
      const absl::StatusOr<v1::Object> readable = store::Decode(record);
      if (!readable.ok()) continue;
      const v1::Object& object = *readable;
      const Dependencies& dependencies =
          object.has_job() ? object.job().spec().depends_on()
                           : object.service().spec().depends_on();
      for (const v1::Dependency& d : dependencies) {
        if (d.service() != name || IsOnJob(d) != (kind == "job")) continue;
        dependents.push_back(store::KeyOf(object).ToString());
        break;
      }
    }
  }
  return dependents;
}

}  // namespace bulwark::scheduler
