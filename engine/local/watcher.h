// One thread that tells when processes end, and that a time has passed.
#ifndef ENGINE_LOCAL_WATCHER_H_
#define ENGINE_LOCAL_WATCHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace bulwark::engine {

// A duplicate of a descriptor that is kept for long, numbered beyond what
// select(2) can hold: libraries of ours (libnftables) end the process when they
// get such a number, and a thousand containers have some thousands.
UniqueFd DuplicateHigh(int fd);

// Thread-safe.
class Watcher {
 public:
  // `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Watcher>> Create(Clock& clock);
  // Waits until a callback that runs has returned; no other runs after.
  ~Watcher();

  // What the destructor does; for owners that callbacks reach it through.
  void Stop();

  // Calls `on_end` once, on the watcher's thread, when the process of `pidfd`
  // has ended. Keeps a duplicate of the descriptor.
  absl::Status Add(int pidfd, std::function<void()> on_end);

  // Calls `call` once, on the watcher's thread, after `delay`; never if the
  // watcher is destroyed before.
  void After(absl::Duration delay, std::function<void()> call);

 private:
  struct Entry {
    UniqueFd pidfd;
    std::function<void()> on_end;
  };

  Watcher(UniqueFd epoll, UniqueFd wake, Clock& clock)
      : epoll_(std::move(epoll)), wake_(std::move(wake)), clock_(clock) {}
  void Run();
  void Wake();
  // Calls what is due; the milliseconds until more is, -1 if nothing will be.
  int CallDue();

  const UniqueFd epoll_;
  const UniqueFd wake_;
  Clock& clock_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::multimap<absl::Duration, std::function<void()>> timers_
      ABSL_GUARDED_BY(mu_);  // by when they are due
  std::thread thread_;
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_WATCHER_H_
