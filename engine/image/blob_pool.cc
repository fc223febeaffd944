#include "engine/image/blob_pool.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kParallelBlobs = 3;

}  // namespace

absl::Status ForEachBlob(
    const std::vector<Descriptor>& blobs, Reporter* reporter,
    const std::function<absl::Status(const Descriptor& blob)>& move) {
  std::atomic<size_t> next{0};
  absl::Mutex mu;
  absl::Status first_error;
  const auto work = [&] {
    for (;;) {
      const size_t i = next.fetch_add(1);
      if (i >= blobs.size() || reporter->cancelled()) return;
      absl::Status status = move(blobs[i]);
      if (status.ok()) continue;
      absl::MutexLock lock(&mu);
      if (first_error.ok()) first_error = std::move(status);
      reporter->Cancel();
      return;
    }
  };
  std::vector<std::thread> threads;
  const size_t count = std::min(kParallelBlobs, blobs.size());
  for (size_t i = 0; i + 1 < count; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  RETURN_IF_ERROR(first_error);
  return reporter->Check();
}

}  // namespace bulwark::engine::image
