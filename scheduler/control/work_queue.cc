#include "scheduler/control/work_queue.h"

#include <algorithm>

#include "base/check.h"

namespace bulwark::scheduler {

WorkQueue::WorkQueue(Clock& clock, Entropy& entropy, Backoff backoff)
    : clock_(clock), entropy_(entropy), backoff_(backoff) {}

void WorkQueue::Add(const std::string& key) {
  absl::MutexLock lock(&mu_);
  AddLocked(key);
}

void WorkQueue::AddLocked(const std::string& key) {
  if (shut_down_ || !dirty_.insert(key).second) return;
  if (!processing_.contains(key)) ready_.push_back(key);
}

void WorkQueue::AddAfter(const std::string& key, absl::Duration delay) {
  absl::MutexLock lock(&mu_);
  if (delay <= absl::ZeroDuration()) return AddLocked(key);
  const absl::Duration due = clock_.Steady() + delay;
  auto it = due_.find(key);
  if (it == due_.end() || due < it->second) SetDelay(key, due);
}

absl::Duration WorkQueue::AddAfterFailure(const std::string& key,
                                          absl::Duration at_least) {
  const double fraction = entropy_.Fraction();
  absl::MutexLock lock(&mu_);
  const absl::Duration delay =
      std::max(at_least, backoff_.Delay(failures_[key]++, fraction));
  SetDelay(key, clock_.Steady() + delay);
  return delay;
}

void WorkQueue::AddUnlessFailed(const std::string& key) {
  absl::MutexLock lock(&mu_);
  if (!failures_.contains(key)) AddLocked(key);
}

void WorkQueue::SetDelay(const std::string& key, absl::Duration due) {
  if (shut_down_) return;
  auto [it, is_new] = due_.try_emplace(key, due);
  if (!is_new) {
    delayed_.erase({it->second, key});
    it->second = due;
  }
  delayed_.emplace(due, key);
}

void WorkQueue::Forget(const std::string& key) {
  absl::MutexLock lock(&mu_);
  failures_.erase(key);
}

absl::Duration WorkQueue::Promote() {
  const absl::Duration now = clock_.Steady();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const std::string key = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    due_.erase(key);
    AddLocked(key);
  }
  return delayed_.empty() ? absl::InfiniteDuration() : delayed_.begin()->first;
}

std::optional<std::string> WorkQueue::Get() {
  absl::MutexLock lock(&mu_);
  while (!shut_down_) {
    const absl::Duration next = Promote();
    if (!ready_.empty()) {
      std::string key = std::move(ready_.front());
      ready_.pop_front();
      dirty_.erase(key);
      CHECK(processing_.insert(key).second);
      return key;
    }
    const bool timer = !has_timer_;
    // Who has the timer also wakes for a key that is due sooner than those
    // known now, and the others when nobody has it any more.
    auto news = [this, next, timer] {
      mu_.AssertReaderHeld();
      if (shut_down_ || !ready_.empty()) return true;
      return timer ? !delayed_.empty() && delayed_.begin()->first < next
                   : !has_timer_ && !delayed_.empty();
    };
    if (timer) has_timer_ = true;
    clock_.AwaitUntil(mu_, absl::Condition(&news),
                      timer ? next : absl::InfiniteDuration());
    if (timer) has_timer_ = false;
  }
  return std::nullopt;
}

void WorkQueue::Done(const std::string& key) {
  absl::MutexLock lock(&mu_);
  CHECK(processing_.erase(key) == 1);
  if (dirty_.contains(key)) ready_.push_back(key);
}

void WorkQueue::ShutDown() {
  absl::MutexLock lock(&mu_);
  shut_down_ = true;
}

size_t WorkQueue::Ready() const {
  absl::MutexLock lock(&mu_);
  return ready_.size();
}

size_t WorkQueue::Delayed() const {
  absl::MutexLock lock(&mu_);
  return delayed_.size();
}

int WorkQueue::Failures(const std::string& key) const {
  absl::MutexLock lock(&mu_);
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

}  // namespace bulwark::scheduler
