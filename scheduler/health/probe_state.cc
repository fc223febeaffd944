#include "scheduler/health/probe_state.h"

#include <algorithm>

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(20);

}  // namespace

bool ProbeState::Record(bool success) {
  const bool before = healthy_;
  if (success) {
    failures_ = 0;
    ++successes_;
    succeeded_ = true;
    if (successes_ >= policy_.success) healthy_ = true;
  } else {
    successes_ = 0;
    ++failures_;
    if (!succeeded_) ++runs_;
    if (failures_ >= policy_.failure) healthy_ = false;
  }
  return healthy_ != before;
}

absl::Duration ProbeState::NextDelay() const {
  if (succeeded_) return policy_.period;
  const absl::Duration most = policy_.start_interval > absl::ZeroDuration()
                                  ? policy_.start_interval
                                  : policy_.period;
  absl::Duration delay = kFirstDelay;
  for (int i = 1; i < runs_ && delay < most; ++i) delay *= 2;
  return std::min(delay, most);
}

}  // namespace bulwark::scheduler
