// Waits for what happens on other threads or in other processes.
#ifndef BASE_TESTING_AWAIT_H_
#define BASE_TESTING_AWAIT_H_

#include <functional>

#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::testing {

// Until the condition holds, in real time. Returns whether it does.
inline bool Await(const std::function<bool()>& condition,
                  absl::Duration limit = absl::Seconds(20)) {
  RealClock real;
  const absl::Duration deadline = real.Steady() + limit;
  while (!condition()) {
    if (real.Steady() > deadline) return false;
    real.Sleep(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace bulwark::testing

#endif  // BASE_TESTING_AWAIT_H_
