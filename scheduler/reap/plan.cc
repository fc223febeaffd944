#include "scheduler/reap/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "scheduler/jobs/outcome.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

// Whether one of the next replicas comes to `slot`, which nobody lives in: the
// planner gives the lowest free slots to those that are missing.
bool IsNext(int slot, const std::set<int>& held, int missing) {
  int free_below = slot;
  for (int other : held) free_below -= other < slot;
  return free_below < missing;
}

// Nobody asks why it stopped.
bool IsForgotten(const v1::Replica& r) {
  return r.status().state() == v1::ReplicaStatus::STOPPED &&
         r.status().reason() != "RolledBack";
}

void PlanRelease(const std::vector<v1::Replica>& replicas,
                 const RolloutSettings& settings, ReapPlan& plan) {
  std::set<int> live, held;
  int missing = settings.replicas;
  for (const v1::Replica& r : replicas) {
    const bool done = IsDone(r, settings.restart);
    if (HasEnded(r) && !done) continue;
    if (!done) live.insert(r.spec().slot());
    if (held.insert(r.spec().slot()).second) --missing;
  }
  for (const v1::Replica& r : replicas) {
    const int slot = r.spec().slot();
    if (!HasEnded(r) || live.contains(slot) || r.spec().address().empty()) {
      continue;
    }
    if (held.contains(slot) || !IsNext(slot, held, missing)) {
      plan.release.push_back(r.metadata().name());
    }
  }
}

}  // namespace

ReapPlan PlanReap(const v1::Service* service,
                  const std::vector<v1::Replica>& replicas, absl::Time now,
                  std::optional<int> scaled) {
  ReapPlan plan;
  std::map<int, std::vector<const v1::Replica*>> failed;  // by slot
  for (const v1::Replica& r : replicas) {
    if (!HasEnded(r)) continue;
    if (service == nullptr || service->metadata().has_delete_time() ||
        r.spec().service_uid() != service->metadata().uid() || IsForgotten(r)) {
      plan.remove.push_back(r.metadata().name());
    } else {
      failed[r.spec().slot()].push_back(&r);
    }
  }
  if (service == nullptr) return plan;
  const RolloutSettings settings = SettingsOf(*service, nullptr, scaled);
  for (auto& [slot, list] : failed) {
    std::sort(list.begin(), list.end(),
              [](const v1::Replica* a, const v1::Replica* b) {
                return ToTime(a->status().finish_time()) >
                       ToTime(b->status().finish_time());
              });
    for (size_t i = 0; i < list.size(); ++i) {
      const absl::Time until =
          ToTime(list[i]->status().finish_time()) + kKeptFor;
      if (i == 0 && IsDone(*list[i], settings.restart)) continue;
      if (i >= kKeptFailures || until <= now) {
        plan.remove.push_back(list[i]->metadata().name());
      } else {
        plan.wake_at = std::min(plan.wake_at, until);
      }
    }
  }
  PlanRelease(replicas, settings, plan);
  return plan;
}

ReapPlan PlanReapOfJob(const v1::Job* job,
                       const std::vector<v1::Replica>& replicas) {
  ReapPlan plan;
  std::set<int> live;
  std::map<Outcome, std::vector<const v1::Replica*>> counted;
  for (const v1::Replica& r : replicas) {
    if (!HasEnded(r)) {
      live.insert(r.spec().slot());
      continue;
    }
    if (job == nullptr || job->metadata().has_delete_time() ||
        r.spec().service_uid() != job->metadata().uid()) {
      plan.remove.push_back(r.metadata().name());
    } else if (IsCounted(r)) {
      counted[OutcomeOf(r)].push_back(&r);
    }
  }
  for (auto& [outcome, list] : counted) {
    std::sort(list.begin(), list.end(),
              [](const v1::Replica* a, const v1::Replica* b) {
                return ToTime(a->status().finish_time()) >
                       ToTime(b->status().finish_time());
              });
    const size_t kept = outcome == Outcome::kCutShort ? 0 : kKeptExecutions;
    for (size_t i = 0; i < list.size(); ++i) {
      if (i >= kept) {
        plan.remove.push_back(list[i]->metadata().name());
      } else if (!list[i]->spec().address().empty() &&
                 !live.contains(list[i]->spec().slot())) {
        plan.release.push_back(list[i]->metadata().name());
      }
    }
  }
  return plan;
}

}  // namespace bulwark::scheduler
