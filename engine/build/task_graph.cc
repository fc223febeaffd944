#include "engine/build/task_graph.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace bulwark::engine::build {
namespace {

// Thread-safe.
class Graph {
 public:
  Graph(const std::map<size_t, std::set<size_t>>& needs,
        const std::function<absl::Status(size_t)>& run,
        const std::function<void()>& on_failure)
      : run_(run), on_failure_(on_failure), waiting_(needs) {}

  // Takes tasks until there are none.
  void Work() {
    mu_.Lock();
    for (;;) {
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return !status_.ok() || running_ == 0 || Ready() != waiting_.end();
      };
      mu_.Await(absl::Condition(&ready));
      auto next = Ready();
      if (!status_.ok() || next == waiting_.end()) break;
      const size_t task = next->first;
      waiting_.erase(next);
      ++running_;
      mu_.Unlock();
      absl::Status status = run_(task);
      mu_.Lock();
      --running_;
      if (status.ok()) {
        for (auto& [other, needs] : waiting_) needs.erase(task);
        continue;
      }
      if (status_.ok()) {
        status_ = std::move(status);
        on_failure_();
      }
    }
    mu_.Unlock();
  }

  absl::Status Result() {
    absl::MutexLock lock(&mu_);
    if (!status_.ok() || waiting_.empty()) return status_;
    return absl::FailedPreconditionError(
        "some stages need each other, or one that is not there");
  }

 private:
  using Waiting = std::map<size_t, std::set<size_t>>;

  Waiting::iterator Ready() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return std::find_if(waiting_.begin(), waiting_.end(),
                        [](const auto& task) { return task.second.empty(); });
  }

  const std::function<absl::Status(size_t)>& run_;
  const std::function<void()>& on_failure_;
  absl::Mutex mu_;
  Waiting waiting_ ABSL_GUARDED_BY(mu_);  // and what they still need
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status RunGraph(const std::map<size_t, std::set<size_t>>& needs,
                      int limit, const std::function<absl::Status(size_t)>& run,
                      const std::function<void()>& on_failure) {
  Graph graph(needs, run, on_failure);
  const int threads = std::min<int>(limit, static_cast<int>(needs.size())) - 1;
  std::vector<std::thread> helpers;
  for (int i = 0; i < threads; ++i) {
    helpers.emplace_back([&graph] { graph.Work(); });
  }
  graph.Work();
  for (std::thread& helper : helpers) helper.join();
  return graph.Result();
}

}  // namespace bulwark::engine::build
