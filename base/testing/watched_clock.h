// A fake clock that tells of those who wait by it.
#ifndef BASE_TESTING_WATCHED_CLOCK_H_
#define BASE_TESTING_WATCHED_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/testing/fake_clock.h"

namespace bulwark::testing {

// Thread-safe. The waits of the test are by the real time, and end after 20 s.
class WatchedClock final : public FakeClock {
 public:
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    {
      absl::MutexLock lock(&watch_mu_);
      ++waits_;
      deadline_ = deadline;
    }
    return FakeClock::AwaitUntil(mu, condition, deadline);
  }

  // How many waits have begun, and until when the last one is.
  int waits() const {
    absl::MutexLock lock(&watch_mu_);
    return waits_;
  }
  absl::Duration deadline() const {
    absl::MutexLock lock(&watch_mu_);
    return deadline_;
  }
  // Whether that came.
  bool AwaitWaits(int count) const {
    absl::MutexLock lock(&watch_mu_);
    auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(watch_mu_) {
      return waits_ >= count;
    };
    return watch_mu_.AwaitWithTimeout(absl::Condition(&there), kLong);
  }
  bool AwaitDeadline(absl::Duration deadline) const {
    absl::MutexLock lock(&watch_mu_);
    auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(watch_mu_) {
      return deadline_ == deadline;
    };
    return watch_mu_.AwaitWithTimeout(absl::Condition(&there), kLong);
  }

 private:
  static constexpr absl::Duration kLong = absl::Seconds(20);

  mutable absl::Mutex watch_mu_;
  int waits_ ABSL_GUARDED_BY(watch_mu_) = 0;
  absl::Duration deadline_ ABSL_GUARDED_BY(watch_mu_);
};

}  // namespace bulwark::testing

#endif  // BASE_TESTING_WATCHED_CLOCK_H_
