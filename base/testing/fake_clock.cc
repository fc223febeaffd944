#include "base/testing/fake_clock.h"

namespace bulwark::testing {

absl::Time FakeClock::Now() {
  absl::MutexLock lock(&mu_);
  return wall_;
}

absl::Duration FakeClock::Steady() {
  absl::MutexLock lock(&mu_);
  return steady_;
}

bool FakeClock::AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                           absl::Duration deadline) {
  // Real time only paces the polling; fake time alone decides.
  while (!mu.AwaitWithTimeout(condition, absl::Milliseconds(1))) {
    if (Steady() >= deadline) return condition.Eval();
  }
  return true;
}

void FakeClock::Advance(absl::Duration d) {
  absl::MutexLock lock(&mu_);
  wall_ += d;
  steady_ += d;
}

void FakeClock::JumpWall(absl::Duration d) {
  absl::MutexLock lock(&mu_);
  wall_ += d;
}

}  // namespace bulwark::testing
