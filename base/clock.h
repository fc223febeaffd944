// Time as a dependency: nothing outside base/ reads a clock or sleeps.
#ifndef BASE_CLOCK_H_
#define BASE_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bulwark {

// Thread-safe. Borrowed by its users; outlives them.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time, for records that people read. Can jump.
  virtual absl::Time Now() = 0;

  // Monotonic time since an arbitrary start (CLOCK_BOOTTIME: it counts
  // suspend), for deadlines and intervals.
  virtual absl::Duration Steady() = 0;

  // Blocks until `condition` holds (with `mu` held, as absl::Mutex::Await) or
  // until Steady() reaches `deadline`. Returns whether the condition holds.
  virtual bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                          absl::Duration deadline)
      ABSL_SHARED_LOCKS_REQUIRED(mu) = 0;

  // Blocks for `d`.
  virtual void Sleep(absl::Duration d) = 0;
};

// The machine's clock.
class RealClock final : public Clock {
 public:
  absl::Time Now() override;
  absl::Duration Steady() override;
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  void Sleep(absl::Duration d) override;
};

}  // namespace bulwark

#endif  // BASE_CLOCK_H_
