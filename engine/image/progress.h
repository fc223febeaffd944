// Progress reports from several threads, and cancellation by their receiver.
#ifndef ENGINE_IMAGE_PROGRESS_H_
#define ENGINE_IMAGE_PROGRESS_H_

#include <atomic>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/images.h"

namespace bulwark::engine::image {

// Thread-safe. `sink` may be empty; it is called by one thread at a time.
// `wanted` may be empty; it is called by several, whenever one of them asks
// whether to go on.
class Reporter {
 public:
  explicit Reporter(ProgressSink sink, std::function<bool()> wanted = nullptr)
      : sink_(std::move(sink)), wanted_(std::move(wanted)) {}

  void Report(const Progress& progress) {
    if (sink_ == nullptr || cancelled()) return;
    absl::MutexLock lock(&mu_);
    if (!sink_(progress)) cancelled_ = true;
  }
  void Report(absl::string_view id, absl::string_view status,
              int64_t current = 0, int64_t total = 0) {
    Progress progress;
    progress.id = std::string(id);
    progress.status = std::string(status);
    progress.current = current;
    progress.total = total;
    Report(progress);
  }

  // Ends the operation for another reason: work that others still do is in
  // vain.
  void Cancel() { cancelled_ = true; }
  bool cancelled() const {
    if (!cancelled_ && wanted_ != nullptr && !wanted_()) cancelled_ = true;
    return cancelled_;
  }
  absl::Status Check() const {
    return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus();
  }

 private:
  const ProgressSink sink_;
  const std::function<bool()> wanted_;
  mutable std::atomic<bool> cancelled_{false};
  absl::Mutex mu_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_PROGRESS_H_
