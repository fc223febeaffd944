#include "scheduler/rollout/verdict.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {

absl::Time ProgressDeadline(const Census& c) {
  if (!c.begun || c.complete || c.settings.replicas == 0) {
    return absl::InfiniteFuture();
  }
  // Where new replicas have to wait for old ones to end, that is no standstill.
  if ((c.settings.recreate || c.settings.stable_slots) && !c.leaving.empty()) {
    return absl::InfiniteFuture();
  }
  absl::Time progress = ToTime(c.target->rollout_time());
  for (const v1::Replica* r : c.fresh) {
    if (!IsAvailable(*r, c)) continue;
    progress = std::max(progress, ToTime(r->status().ready_time()) +
                                      c.settings.min_healthy_time);
  }
  return progress + c.settings.progress_deadline;
}

std::string RolloutFailure(const Census& c) {
  // What was rolled back to is never taken back itself: the failure lies
  // elsewhere then, and changing revisions would only hide it.
  if (!c.begun || c.target != c.desired || c.fallback == nullptr ||
      !c.settings.auto_rollback || c.settings.replicas == 0) {
    return "";
  }
  const bool watched =
      !c.complete ||
      c.now <= ToTime(c.target->complete_time()) + kWatchAfterRollout;
  if (watched && c.failures >= kCrashLoopFailures &&
      CountAvailable(c.fresh, c) == 0) {
    return absl::StrCat(
        "crash loop: ", c.failures,
        " replicas failed and none is available; last: ", Culprit(c));
  }
  if (c.now >= ProgressDeadline(c)) {
    const std::string culprit = Culprit(c);
    return absl::StrCat(
        "no progress for ", absl::FormatDuration(c.settings.progress_deadline),
        ": ", CountAvailable(c.fresh, c), " of ", c.settings.replicas,
        " replicas are available", culprit.empty() ? "" : "; ", culprit);
  }
  return "";
}

bool IsComplete(const Census& c) {
  return c.begun && !c.complete && c.settings.replicas > 0 && c.old.empty() &&
         CountAvailable(c.fresh, c) + static_cast<int>(c.done.size()) >=
             c.settings.replicas;
}

std::string Culprit(const Census& c) {
  const v1::Replica* worst = nullptr;
  for (const auto& [key, r] : c.last_ended) {
    if (c.target == nullptr || key.second != c.target->number() ||
        r->status().state() != v1::ReplicaStatus::FAILED) {
      continue;
    }
    if (worst == nullptr || ToTime(r->status().finish_time()) >
                                ToTime(worst->status().finish_time())) {
      worst = r;
    }
  }
  if (worst != nullptr && c.failures > 0) {
    return absl::StrCat(worst->metadata().name(), ": ",
                        worst->status().message());
  }
  for (const v1::Replica* r : c.fresh) {
    if (IsAvailable(*r, c)) continue;
    const std::string& why = !r->status().message().empty()
                                 ? r->status().message()
                                 : r->status().probe_message();
    if (!why.empty()) return absl::StrCat(r->metadata().name(), ": ", why);
  }
  return "";
}

}  // namespace bulwark::scheduler
