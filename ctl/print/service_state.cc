// A service's conditions in one word.
#include "absl/strings/string_view.h"
#include "ctl/print/columns.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

struct Rule {
  absl::string_view type;
  // The value of the condition that is worth telling.
  v1::Condition::Status bad;
};

// The first that holds is the one to tell: causes before their effects.
constexpr Rule kRules[] = {
    {"ImageResolved", v1::Condition::FALSE},
    {"DependenciesReady", v1::Condition::FALSE},
    {"InputsReady", v1::Condition::FALSE},
    {"CrashLoop", v1::Condition::TRUE},
    {"RolledBack", v1::Condition::TRUE},
    {"PortsOpen", v1::Condition::FALSE},
    {"Progressing", v1::Condition::FALSE},
};

bool IsComplete(const v1::Service& service) {
  const v1::ServiceStatus& status = service.status();
  const v1::Condition* progressing =
      FindCondition(status.conditions(), "Progressing");
  // While images are resolved, the counts still speak of the old revision.
  if (progressing != nullptr && progressing->status() == v1::Condition::TRUE) {
    return false;
  }
  return status.observed_generation() >= service.metadata().generation() &&
         status.updated_replicas() == status.desired_replicas() &&
         status.available_replicas() >= status.desired_replicas() &&
         status.replicas() <= status.updated_replicas();
}

// Whatever else still runs, and ends.
bool ServesInFull(const v1::Service& service) {
  const v1::ServiceStatus& status = service.status();
  return status.observed_generation() >= service.metadata().generation() &&
         status.desired_replicas() > 0 &&
         status.updated_replicas() >= status.desired_replicas() &&
         status.available_replicas() >= status.desired_replicas() &&
         status.ready_replicas() >= status.desired_replicas();
}

// What is wrong, or null. Progressing is FALSE as well when a rollout is over.
const v1::Condition* Fault(const v1::Service& service) {
  for (const Rule& rule : kRules) {
    const v1::Condition* condition =
        FindCondition(service.status().conditions(), rule.type);
    if (condition == nullptr || condition->status() != rule.bad) continue;
    if (rule.type == "Progressing" &&
        condition->reason() != "ProgressDeadlineExceeded") {
      continue;
    }
    return condition;
  }
  return nullptr;
}

// Says that it is held back for the host's shutdown, or null.
const v1::Condition* Down(const v1::Service& service) {
  const v1::Condition* available =
      FindCondition(service.status().conditions(), "Available");
  return available != nullptr && available->reason() == "HostShutdown"
             ? available
             : nullptr;
}

}  // namespace

std::string ServiceState(const v1::Service& service) {
  if (service.metadata().has_delete_time()) return "Deleting";
  if (service.spec().stopped()) {
    return service.status().replicas() > 0 ? "Stopping" : "Stopped";
  }
  if (Down(service) != nullptr) return "HostShutdown";
  if (const v1::Condition* fault = Fault(service)) {
    const bool spoken = !fault->reason().empty() &&
                        fault->type() != "CrashLoop" &&
                        fault->type() != "RolledBack";
    return spoken ? fault->reason() : fault->type();
  }
  if (IsComplete(service)) {
    return service.status().desired_replicas() == 0 ? "Idle" : "Available";
  }
  if (service.status().observed_generation() == 0) return "Pending";
  const v1::Condition* available =
      FindCondition(service.status().conditions(), "Available");
  if (available != nullptr && available->reason() == "Ended") return "Ended";
  const v1::Condition* progressing =
      FindCondition(service.status().conditions(), "Progressing");
  // Rolled out, and a replica is being replaced, or those of before still end.
  if (progressing != nullptr && progressing->reason() == "Complete") {
    return ServesInFull(service) ? "Available" : "Degraded";
  }
  return "Progressing";
}

std::string ServiceMessage(const v1::Service& service) {
  if (const v1::Condition* down = Down(service)) return down->message();
  if (const v1::Condition* fault = Fault(service)) return fault->message();
  if (IsComplete(service) || service.spec().stopped()) return "";
  for (absl::string_view type : {"Available", "Progressing"}) {
    const v1::Condition* condition =
        FindCondition(service.status().conditions(), type);
    if (condition != nullptr && !condition->message().empty()) {
      return condition->message();
    }
  }
  return "";
}

}  // namespace bulwark::ctl
