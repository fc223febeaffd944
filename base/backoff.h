// Exponential back-off.
#ifndef BASE_BACKOFF_H_
#define BASE_BACKOFF_H_

#include "absl/time/time.h"

namespace bulwark {

// `initial` doubled `attempt` times, at most `maximum`, then spread by jitter:
// the result lies in [(1 - jitter) * d, d], with `fraction` uniform in [0, 1).
// Full jitter is 1 (AWS Architecture Blog, "Exponential Backoff And Jitter").
struct Backoff {
  absl::Duration initial = absl::Milliseconds(50);
  absl::Duration maximum = absl::Seconds(60);
  double jitter = 1;

  absl::Duration Delay(int attempt, double fraction) const {
    absl::Duration d = initial;
    for (int i = 0; i < attempt && d < maximum; ++i) d *= 2;
    if (d > maximum) d = maximum;
    return d * (1 - jitter * fraction);
  }
};

}  // namespace bulwark

#endif  // BASE_BACKOFF_H_
