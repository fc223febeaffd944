// A clock that moves only when told.
#ifndef BASE_TESTING_FAKE_CLOCK_H_
#define BASE_TESTING_FAKE_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace bulwark::testing {

// Starts at 2030-01-01 00:00 UTC with Steady() 1000 s. Thread-safe. A test that
// wants to know of waits, or to have them end otherwise, overrides
// AwaitUntil().
class FakeClock : public Clock {
 public:
  absl::Time Now() override;
  absl::Duration Steady() override;
  // Returns when the condition holds or when Advance() reached the deadline.
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu);
  // Advances this clock by `d`; does not block.
  void Sleep(absl::Duration d) override { Advance(d); }

  // Moves both times forward.
  void Advance(absl::Duration d);
  // Moves the wall time alone, as an administrator or NTP does.
  void JumpWall(absl::Duration d);

 private:
  absl::Mutex mu_;
  absl::Time wall_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1893456000);
  absl::Duration steady_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1000);
};

}  // namespace bulwark::testing

#endif  // BASE_TESTING_FAKE_CLOCK_H_
