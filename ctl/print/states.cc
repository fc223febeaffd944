// How replicas and jobs do, in one word and one sentence.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ctl/print/columns.h"
#include "ctl/print/text.h"
#include "manifest/scalar.h"

namespace bulwark::ctl {

int ReplicaRestarts(const v1::Replica& replica) {
  int restarts = replica.spec().attempt();
  for (const v1::ContainerStatus& c : replica.status().containers()) {
    if (c.attempt() > 1) restarts += c.attempt() - 1;
  }
  return restarts;
}

// A replica whose command ended well has failed to run on, and no more.
std::string ReplicaState(const v1::Replica& replica) {
  const v1::ReplicaStatus& status = replica.status();
  if (status.state() == v1::ReplicaStatus::FAILED &&
      status.reason() == "Completed") {
    return "completed";
  }
  const auto* value =
      v1::ReplicaStatus::State_descriptor()->FindValueByNumber(status.state());
  return value == nullptr || value->number() == 0 ? ""
                                                  : manifest::EnumWord(*value);
}

std::string ReplicaMessage(const v1::Replica& replica) {
  const v1::ReplicaStatus& status = replica.status();
  if (!status.reason().empty() && !status.message().empty()) {
    return absl::StrCat(status.reason(), ": ", status.message());
  }
  if (!status.message().empty()) return status.message();
  if (!status.reason().empty()) return status.reason();
  return status.ready() ? "" : status.probe_message();
}

std::string JobState(const v1::Job& job) {
  if (job.metadata().has_delete_time()) return "Deleting";
  for (absl::string_view type : {"Complete", "Failed", "Suspended"}) {
    const v1::Condition* c = FindCondition(job.status().conditions(), type);
    if (c == nullptr || c->status() != v1::Condition::TRUE) continue;
    // Why it failed says more than that it did.
    return type == "Failed" && !c->reason().empty() ? c->reason()
                                                    : std::string(type);
  }
  const v1::Condition* resolved =
      FindCondition(job.status().conditions(), "ImageResolved");
  if (resolved != nullptr && resolved->status() == v1::Condition::FALSE) {
    return resolved->reason();
  }
  if (job.status().active() > 0) return "Running";
  const v1::Condition* progressing =
      FindCondition(job.status().conditions(), "Progressing");
  return progressing == nullptr || progressing->reason() == "Executing"
             ? "Pending"
             : progressing->reason();
}

}  // namespace bulwark::ctl
