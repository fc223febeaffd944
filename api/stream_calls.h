// How many calls with a thread of their own run.
#ifndef API_STREAM_CALLS_H_
#define API_STREAM_CALLS_H_

#include "absl/synchronization/mutex.h"

namespace bulwark::api {

// How many run, so that the server can wait for them. Thread-safe.
class StreamCalls {
 public:
  static constexpr int kMost = 256;

  // False: there are too many.
  bool Enter() {
    absl::MutexLock lock(&mu_);
    if (count_ >= kMost) return false;
    ++count_;
    return true;
  }
  void Leave() {
    absl::MutexLock lock(&mu_);
    --count_;
  }
  // Blocks until none is left.
  void AwaitNone() {
    const auto none = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return count_ == 0;
    };
    absl::MutexLock lock(&mu_, absl::Condition(&none));
  }

 private:
  absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::api

#endif  // API_STREAM_CALLS_H_
