#include "scheduler/control/runner.h"

#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/thread_name.h"

namespace bulwark::scheduler {

Runner::Runner(RunnerOptions options, Clock& clock, Entropy& entropy,
               Reconcile reconcile, Lister lister)
    : options_(std::move(options)),
      clock_(clock),
      entropy_(entropy),
      reconcile_(std::move(reconcile)),
      lister_(std::move(lister)),
      queue_(clock, entropy, options_.backoff) {}

Runner::~Runner() { Stop(); }

void Runner::Start() {
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
  threads_.emplace_back([this] { Resync(); });
}

void Runner::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  queue_.ShutDown();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Runner::Work() {
  NameThread(options_.name);
  while (std::optional<std::string> key = queue_.Get()) {
    RunOne(*key);
    queue_.Done(*key);
  }
}

void Runner::RunOne(const std::string& key) {
  ++busy_;
  const absl::Duration start = clock_.Steady();
  const absl::StatusOr<Result> result = reconcile_(key);
  const absl::Duration took = clock_.Steady() - start;
  nanoseconds_ += absl::ToInt64Nanoseconds(took);
  durations_.Observe(took);
  ++runs_;
  --busy_;
  if (!result.ok()) return Failed(key, result.status());
  queue_.Forget(key);
  {
    absl::MutexLock lock(&mu_);
    errors_.erase(key);
  }
  if (result->requeue_after.has_value()) {
    queue_.AddAfter(key, *result->requeue_after);
  }
}

void Runner::Failed(const std::string& key, const absl::Status& error) {
  ++failures_;
  const bool retry = IsRetryable(error);
  if (retry) ++retries_;
  const absl::Duration delay = queue_.AddAfterFailure(
      key, retry ? absl::ZeroDuration() : options_.hopeless_delay);
  // Another writer was faster: nothing that anyone needs to hear of.
  if (absl::IsAborted(error)) return;
  {
    absl::MutexLock lock(&mu_);
    std::string& last = errors_[key];
    if (last == error.ToString()) return;
    last = error.ToString();
  }
  Log(retry ? LogLevel::kWarn : LogLevel::kError, "reconcile failed",
      {{"controller", options_.name},
       {"key", key},
       {"error", error},
       {"retry_in", absl::FormatDuration(delay)}});
}

void Runner::Resync() {
  for (const std::string& key : lister_()) queue_.Add(key);
  while (true) {
    const absl::Duration wait =
        options_.resync * (1 - 0.2 * entropy_.Fraction());
    {
      absl::MutexLock lock(&mu_);
      if (clock_.AwaitUntil(mu_, absl::Condition(&stop_),
                            clock_.Steady() + wait)) {
        return;
      }
    }
    for (const std::string& key : lister_()) queue_.AddUnlessFailed(key);
  }
}

Runner::Stats Runner::GetStats() const {
  return {.name = options_.name,
          .runs = runs_,
          .failures = failures_,
          .retries = retries_,
          .busy_workers = busy_,
          .ready = queue_.Ready(),
          .delayed = queue_.Delayed(),
          .time = absl::Nanoseconds(nanoseconds_.load()),
          .durations = durations_.Get()};
}

}  // namespace bulwark::scheduler
