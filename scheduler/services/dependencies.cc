#include "scheduler/services/dependencies.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "scheduler/rollout/defaults.h"

namespace bulwark::scheduler {

std::string MissingOf(const v1::Dependency& dependency,
                      const v1::Service* service,
                      const std::vector<v1::Replica>& replicas,
                      std::optional<int> scaled) {
  const std::string& name = dependency.service();
  if (service == nullptr) {
    return absl::StrCat("waits for service ", name,
                        ", which does not exist; apply it");
  }
  int started = 0, ready = 0;
  for (const v1::Replica& r : replicas) {
    if (r.spec().service_uid() != service->metadata().uid() ||
        r.spec().goal() != v1::ReplicaSpec::RUN ||
        r.status().state() != v1::ReplicaStatus::RUNNING) {
      continue;
    }
    ++started;
    if (r.status().ready() && !r.status().liveness_failed()) ++ready;
  }
  if (dependency.condition() == v1::Dependency::STARTED) {
    if (started > 0) return "";
    return absl::StrCat("waits for service ", name, " to start");
  }
  const RolloutSettings settings = SettingsOf(*service, nullptr, scaled);
  const int needed = std::max(1, settings.replicas - settings.max_unavailable);
  if (ready >= needed) return "";
  return absl::StrCat("waits for service ", name, ": ", ready, " of ", needed,
                      " replicas are ready");
}

std::string MissingOfJob(const v1::Dependency& dependency, const v1::Job* job) {
  const std::string& name = dependency.service();
  if (job == nullptr) {
    return absl::StrCat("waits for job ", name,
                        ", which does not exist; apply it");
  }
  const v1::JobStatus& status = job->status();
  for (const v1::Condition& c : status.conditions()) {
    if (c.status() != v1::Condition::TRUE) continue;
    if (c.type() == "Complete") return "";
    if (c.type() == "Failed") {
      return absl::StrCat("waits for job ", name,
                          ", which has failed: ", c.message(),
                          "; delete it and apply it again");
    }
    if (c.type() == "Suspended") {
      return absl::StrCat("waits for job ", name,
                          ", which is suspended; resume it");
    }
  }
  return absl::StrCat("waits for job ", name, ": ", status.succeeded(), " of ",
                      std::max(1, job->spec().completions()),
                      " executions have completed");
}

}  // namespace bulwark::scheduler
