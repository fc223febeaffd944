#include "scheduler/follow/follower.h"

#include <iterator>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/thread_name.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kRetryDelay = absl::Milliseconds(200);

}  // namespace

Follower::Follower(std::string name, store::MetadataStore& store, Clock& clock,
                   store::Filter filter, Pass pass, absl::Duration gather)
    : name_(std::move(name)),
      store_(store),
      clock_(clock),
      filter_(std::move(filter)),
      pass_(std::move(pass)),
      gather_(gather) {}

Follower::~Follower() { Stop(); }

void Follower::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Follower::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    if (watcher_ != nullptr) watcher_->Cancel();
  }
  if (thread_.joinable()) thread_.join();
}

void Follower::Loop() {
  NameThread(name_);
  std::string last_error;
  while (true) {
    const absl::Status status = Follow();
    absl::MutexLock lock(&mu_);
    watcher_ = nullptr;
    if (stop_) return;
    if (absl::IsOutOfRange(status)) continue;
    if (status.ToString() != last_error) {
      last_error = status.ToString();
      LOG_WARN("pass failed, trying again",
               {{"controller", name_}, {"cause", status}});
    }
    clock_.AwaitUntil(mu_, absl::Condition(&stop_),
                      clock_.Steady() + kRetryDelay);
  }
}

absl::Status Follower::Follow() {
  // The watch begins before the first pass reads the store, so that nothing
  // falls between the two.
  ASSIGN_OR_RETURN(std::unique_ptr<store::Watcher> watcher,
                   store_.Watch(store_.CurrentRevision(), filter_));
  {
    absl::MutexLock lock(&mu_);
    if (stop_) return absl::CancelledError("stopped");
    watcher_ = watcher.get();
  }
  // The watcher must not be reachable from Stop() once it is destroyed.
  struct Detach {
    Follower& f;
    ~Detach() {
      absl::MutexLock lock(&f.mu_);
      f.watcher_ = nullptr;
    }
  } detach{*this};
  ASSIGN_OR_RETURN(absl::Duration wait, pass_(nullptr));
  while (true) {
    ASSIGN_OR_RETURN(std::vector<store::Change> changes, watcher->Next(wait));
    if (!changes.empty() && gather_ > absl::ZeroDuration()) {
      RETURN_IF_ERROR(Gather(*watcher, changes));
    }
    ASSIGN_OR_RETURN(wait, pass_(&changes));
  }
}

absl::Status Follower::Gather(store::Watcher& watcher,
                              std::vector<store::Change>& changes) {
  {
    absl::MutexLock lock(&mu_);
    clock_.AwaitUntil(mu_, absl::Condition(&stop_), clock_.Steady() + gather_);
  }
  ASSIGN_OR_RETURN(std::vector<store::Change> more,
                   watcher.Next(absl::ZeroDuration()));
  changes.insert(changes.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
