#include "store/feed.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::store {
namespace {

// Commits read at a time: bounds the memory and the latency of one Next().
constexpr size_t kChunk = 256;

size_t SizeOf(const CommitEntry& entry) {
  size_t bytes = sizeof(entry);
  for (const Change& change : entry.changes) {
    bytes += sizeof(change) + change.value.size() + change.previous.size();
  }
  return bytes;
}

absl::Status OutOfRange(uint64_t after) {
  return absl::OutOfRangeError(
      absl::StrCat("watch from revision ", after,
                   ": the change log does not reach back to it; list again"));
}

}  // namespace

// What one watcher waits at. Each has a lock of its own, so that all who are
// woken run at once: on the feed's one would let the next go on.
class Feed::Bell {
 public:
  void Ring() {
    absl::MutexLock lock(&mu_);
    rung_ = true;
  }
  void Still() {
    absl::MutexLock lock(&mu_);
    rung_ = false;
  }
  void Await(Clock& clock, absl::Duration deadline) {
    absl::MutexLock lock(&mu_);
    clock.AwaitUntil(mu_, absl::Condition(&rung_), deadline);
  }

 private:
  absl::Mutex mu_;  // after the feed's
  bool rung_ ABSL_GUARDED_BY(mu_) = false;
};

class Feed::Cursor final : public Watcher {
 public:
  Cursor(Feed& feed, uint64_t after, Filter filter)
      : feed_(feed), filter_(std::move(filter)), position_(after) {
    absl::MutexLock lock(&feed_.mu_);
    feed_.cursors_.push_back(this);
  }
  ~Cursor() override {
    absl::MutexLock lock(&feed_.mu_);
    auto& cursors = feed_.cursors_;
    cursors.erase(std::find(cursors.begin(), cursors.end(), this));
  }

  absl::StatusOr<std::vector<Change>> Next(absl::Duration timeout) override {
    const absl::Duration deadline = feed_.clock_.Steady() + timeout;
    std::vector<Change> out;
    while (out.empty()) {
      ASSIGN_OR_RETURN(const bool ready, AwaitMore(deadline));
      if (!ready) {
        if (feed_.clock_.Steady() >= deadline) break;
        continue;  // rung late, for what was read before
      }
      const uint64_t from = position_.load(std::memory_order_relaxed);
      ASSIGN_OR_RETURN(const std::vector<CommitPtr> commits,
                       feed_.Read(from, kChunk));
      for (const CommitPtr& commit : commits) {
        for (const Change& change : commit->changes) {
          if (filter_.Matches(change.key)) out.push_back(change);
        }
      }
      if (!commits.empty()) {
        position_.store(commits.back()->revision, std::memory_order_release);
      }
    }
    return out;
  }

  uint64_t Revision() const override {
    return position_.load(std::memory_order_acquire);
  }

  void Cancel() override {
    absl::MutexLock lock(&feed_.mu_);
    cancelled_ = true;
    bell_->Ring();
  }

  // These with feed_.mu_ held.

  // Whether it is to be woken for `commits`, which were published after
  // `current`. If it waits there and none of them concerns it, it is not, and
  // stands behind them.
  bool Concerns(const std::vector<CommitPtr>& commits, uint64_t current) {
    if (!waits_) return false;
    if (position_.load(std::memory_order_relaxed) != current) return true;
    for (const CommitPtr& commit : commits) {
      for (const Change& change : commit->changes) {
        if (filter_.Matches(change.key)) return true;
      }
    }
    position_.store(commits.back()->revision, std::memory_order_release);
    return false;
  }
  // Whether it is for one kind of object: who works on those is waited for
  // more often than who looks at everything.
  bool IsOfOneKind() const { return !filter_.kind.empty(); }
  const std::shared_ptr<Bell>& bell() const { return bell_; }

 private:
  // Whether there are commits after the position by `deadline`, or by a ring.
  absl::StatusOr<bool> AwaitMore(absl::Duration deadline) {
    {
      absl::MutexLock lock(&feed_.mu_);
      ASSIGN_OR_RETURN(const bool more, HasMore());
      if (more) return true;
      waits_ = true;
      bell_->Still();
    }
    bell_->Await(feed_.clock_, deadline);
    absl::MutexLock lock(&feed_.mu_);
    waits_ = false;
    return HasMore();
  }
  absl::StatusOr<bool> HasMore() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(feed_.mu_) {
    if (cancelled_) return absl::CancelledError("watch: cancelled");
    if (feed_.closed_) return absl::CancelledError("watch: the store closes");
    return feed_.current_ > position_.load(std::memory_order_relaxed);
  }

  Feed& feed_;
  const Filter filter_;
  std::atomic<uint64_t> position_;
  // Both guarded by feed_.mu_.
  bool cancelled_ = false;
  bool waits_ = false;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
};

Feed::Feed(Clock& clock, uint64_t revision, Limits limits, Loader loader)
    : clock_(clock),
      limits_(limits),
      loader_(std::move(loader)),
      floor_(revision),
      current_(revision) {}

Feed::~Feed() {
  absl::MutexLock lock(&mu_);
  CHECK(cursors_.empty());
}

void Feed::Publish(std::vector<CommitPtr> commits) {
  if (commits.empty()) return;
  // Rung without our lock, which all who are woken take at once.
  std::vector<std::shared_ptr<Bell>> first, others;
  absl::Cleanup ring = [&] {
    for (const auto& bell : first) bell->Ring();
    for (const auto& bell : others) bell->Ring();
  };
  absl::MutexLock lock(&mu_);
  for (Cursor* cursor : cursors_) {
    if (!cursor->Concerns(commits, current_)) continue;
    (cursor->IsOfOneKind() ? first : others).push_back(cursor->bell());
  }
  for (CommitPtr& commit : commits) {
    CHECK(commit->revision > current_);
    current_ = commit->revision;
    bytes_ += SizeOf(*commit);
    recent_.push_back(std::move(commit));
  }
  while (recent_.size() > limits_.commits ||
         (bytes_ > limits_.bytes && recent_.size() > 1)) {
    DropFront();
  }
}

void Feed::DropOlder(absl::Time cutoff, size_t keep) {
  absl::MutexLock lock(&mu_);
  while (recent_.size() > keep && recent_.front()->time < cutoff) DropFront();
}

void Feed::DropFront() {
  bytes_ -= SizeOf(*recent_.front());
  floor_ = recent_.front()->revision;
  recent_.pop_front();
}

void Feed::Reset(uint64_t revision) {
  absl::MutexLock lock(&mu_);
  recent_.clear();
  bytes_ = 0;
  floor_ = current_ = revision;
  for (Cursor* cursor : cursors_) cursor->bell()->Ring();
}

void Feed::AwaitRevision(uint64_t revision) {
  absl::MutexLock lock(&mu_);
  auto there = [&] {
    mu_.AssertReaderHeld();
    return closed_ || current_ >= revision;
  };
  mu_.Await(absl::Condition(&there));
}

uint64_t Feed::Current() const {
  absl::MutexLock lock(&mu_);
  return current_;
}

absl::StatusOr<std::vector<CommitPtr>> Feed::Read(uint64_t after,
                                                  size_t limit) {
  {
    absl::MutexLock lock(&mu_);
    if (after > current_) return OutOfRange(after);
    if (after >= floor_) {
      auto it = std::upper_bound(
          recent_.begin(), recent_.end(), after,
          [](uint64_t r, const CommitPtr& c) { return r < c->revision; });
      // A revision that is no commit's is of another history.
      const uint64_t before =
          it == recent_.begin() ? floor_ : (*std::prev(it))->revision;
      if (before != after) return OutOfRange(after);
      const size_t count =
          std::min<size_t>(limit, std::distance(it, recent_.end()));
      return std::vector<CommitPtr>(it, it + count);
    }
  }
  if (loader_ == nullptr) return OutOfRange(after);
  return loader_(after, limit);
}

absl::StatusOr<std::unique_ptr<Watcher>> Feed::Watch(uint64_t after,
                                                     const Filter& filter) {
  RETURN_IF_ERROR(Read(after, 1).status());
  return std::make_unique<Cursor>(*this, after, filter);
}

void Feed::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
  for (Cursor* cursor : cursors_) cursor->bell()->Ring();
}

}  // namespace bulwark::store
