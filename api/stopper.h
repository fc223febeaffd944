// The server's wish to end.
#ifndef API_STOPPER_H_
#define API_STOPPER_H_

#include <atomic>

#include "absl/time/time.h"

namespace bulwark::api {

// Set once, when the server stops: calls that would go on for ever end then.
// Thread-safe.
class Stopper {
 public:
  void Stop() { stopping_.store(true); }
  bool stopping() const { return stopping_.load(); }

 private:
  std::atomic<bool> stopping_{false};
};

// How often a call that waits looks whether its client is still there: gRPC's
// synchronous calls cannot be told.
inline constexpr absl::Duration kCancelPoll = absl::Milliseconds(250);

}  // namespace bulwark::api

#endif  // API_STOPPER_H_
