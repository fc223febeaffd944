// One thread that tells when processes end.
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
#include "base/unique_fd.h"

namespace bulwark::engine {

// Thread-safe.
class Watcher {
 public:
  static absl::StatusOr<std::unique_ptr<Watcher>> Create();
  // Waits until a callback that runs has returned; no other runs after.
  ~Watcher();

  // Calls `on_end` once, on the watcher's thread, when the process of `pidfd`
  // has ended. Keeps a duplicate of the descriptor.
  absl::Status Add(int pidfd, std::function<void()> on_end);

 private:
  struct Entry {
    UniqueFd pidfd;
    std::function<void()> on_end;
  };

  Watcher(UniqueFd epoll, UniqueFd stop)
      : epoll_(std::move(epoll)), stop_(std::move(stop)) {}
  void Run();

  const UniqueFd epoll_;
  const UniqueFd stop_;
  absl::Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_WATCHER_H_
