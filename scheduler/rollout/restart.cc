#include "scheduler/rollout/restart.h"

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/backoff.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr Backoff kRestartBackoff{absl::Seconds(1), absl::Seconds(60), 0.2};

// FNV-1a: equal in every process, which absl::Hash is not.
double FractionOf(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

}  // namespace

bool HasEnded(const v1::Replica& replica) {
  return replica.status().state() == v1::ReplicaStatus::FAILED ||
         replica.status().state() == v1::ReplicaStatus::STOPPED;
}

bool IsDone(const v1::Replica& replica, v1::Restart::Policy policy) {
  if (replica.status().state() != v1::ReplicaStatus::FAILED ||
      replica.spec().goal() != v1::ReplicaSpec::RUN) {
    return false;
  }
  switch (policy) {
    case v1::Restart::NEVER:
      return true;
    case v1::Restart::ON_FAILURE:
      return replica.status().reason() == "Completed";
    default:
      return false;
  }
}

bool IsOwnFailure(const v1::Replica& replica) {
  return replica.status().state() == v1::ReplicaStatus::FAILED &&
         replica.status().reason() != "HostReboot" &&
         replica.status().reason() != "ShimLost";
}

Replacement ReplacementOf(const v1::Replica* ended, absl::Time now) {
  Replacement next;
  if (ended == nullptr || !IsOwnFailure(*ended)) return next;
  const absl::Time start = ToTime(ended->status().start_time());
  const absl::Time finish = ToTime(ended->status().finish_time());
  const bool healthy = start != absl::InfinitePast() &&
                       finish != absl::InfinitePast() &&
                       finish - start >= kHealthyRun;
  next.attempt = healthy ? 1 : ended->spec().attempt() + 1;
  // A finish far in the future: the clock was set back. Do not wait for it.
  if (next.attempt == 1 || finish > now + kRestartBackoff.maximum) return next;
  next.not_before =
      finish + kRestartBackoff.Delay(next.attempt - 2,
                                     FractionOf(ended->metadata().uid()));
  return next;
}

}  // namespace bulwark::scheduler
