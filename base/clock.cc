#include "base/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace bulwark {

absl::Time RealClock::Now() { return absl::Now(); }

absl::Duration RealClock::Steady() {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return absl::DurationFromTimespec(ts);
}

bool RealClock::AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                           absl::Duration deadline) {
  return mu.AwaitWithTimeout(condition, deadline - Steady());
}

void RealClock::Sleep(absl::Duration d) { absl::SleepFor(d); }

}  // namespace bulwark
