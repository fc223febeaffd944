#include "lb/target_state.h"

#include <algorithm>

namespace bulwark::lb {

void TargetState::RecordSuccess(int64_t now_ns) {
  // Loads first: the usual case must not write a line that workers share.
  if (failures_.load(std::memory_order_relaxed) != 0) {
    failures_.store(0, std::memory_order_relaxed);
  }
  if (ejections_.load(std::memory_order_relaxed) != 0 &&
      now_ns - until_ns_.load(std::memory_order_relaxed) > kForgiveNs) {
    ejections_.store(0, std::memory_order_relaxed);
  }
}

bool TargetState::RecordFailure() {
  return failures_.fetch_add(1, std::memory_order_relaxed) + 1 >=
         kFailuresToEject;
}

void TargetState::Eject(int64_t now_ns) {
  int64_t until = until_ns_.load(std::memory_order_relaxed);
  if (until > now_ns) return;
  const int factor =
      std::min(ejections_.load(std::memory_order_relaxed) + 1, kMaxFactor);
  // Of several workers that eject at the same moment, one counts.
  if (until_ns_.compare_exchange_strong(until, now_ns + factor * kEjectionNs,
                                        std::memory_order_relaxed)) {
    ejections_.store(factor, std::memory_order_relaxed);
    failures_.store(0, std::memory_order_relaxed);
  }
}

}  // namespace bulwark::lb
