#include "scheduler/reap/plan.h"

#include <algorithm>
#include <map>

#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {

ReapPlan PlanReap(const v1::Service* service,
                  const std::vector<v1::Replica>& replicas, absl::Time now) {
  ReapPlan plan;
  std::map<int, std::vector<const v1::Replica*>> failed;  // by slot
  for (const v1::Replica& r : replicas) {
    if (!HasEnded(r)) continue;
    if (service == nullptr || service->metadata().has_delete_time() ||
        r.spec().service_uid() != service->metadata().uid() ||
        r.status().state() == v1::ReplicaStatus::STOPPED) {
      plan.remove.push_back(r.metadata().name());
    } else {
      failed[r.spec().slot()].push_back(&r);
    }
  }
  if (service == nullptr) return plan;
  const v1::Restart::Policy policy = SettingsOf(*service).restart;
  for (auto& [slot, list] : failed) {
    std::sort(list.begin(), list.end(),
              [](const v1::Replica* a, const v1::Replica* b) {
                return ToTime(a->status().finish_time()) >
                       ToTime(b->status().finish_time());
              });
    for (size_t i = 0; i < list.size(); ++i) {
      const absl::Time until =
          ToTime(list[i]->status().finish_time()) + kKeptFor;
      if (i == 0 && IsDone(*list[i], policy)) continue;
      if (i >= kKeptFailures || until <= now) {
        plan.remove.push_back(list[i]->metadata().name());
      } else {
        plan.wake_at = std::min(plan.wake_at, until);
      }
    }
  }
  return plan;
}

}  // namespace bulwark::scheduler
