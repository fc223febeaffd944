// How long nobody answers after the proxy was killed.
#ifndef TESTS_LOAD_OUTAGE_H_
#define TESTS_LOAD_OUTAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::load {

// Kills process `pid`; when it is gone, connects to `port` of loopback and asks
// for "/". Returns the time from the signal to the answer, InfiniteDuration if
// none came within ten seconds, however often it asked.
absl::Duration KillAndAsk(pid_t pid, uint16_t port, Clock& clock);

// "median 12.1 ms, worst 30.0 ms, of 12: 11.9 12.0 ...", and the numbers.
struct Outages {
  std::vector<absl::Duration> each;

  // Zero if there are none.
  absl::Duration Median() const;
  absl::Duration Worst() const;
  std::string ToString() const;
};

}  // namespace bulwark::load

#endif  // TESTS_LOAD_OUTAGE_H_
