#include "store/mem/mem_store.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/status.h"
#include "store/commit.h"

namespace bulwark::store {

MemStore::MemStore(Clock& clock, LogRetention retention)
    : clock_(clock),
      retention_(retention),
      feed_(clock, 0,
            {.commits = std::numeric_limits<size_t>::max(),
             .bytes = std::numeric_limits<size_t>::max()},
            nullptr) {}

MemStore::~MemStore() { feed_.Close(); }

absl::StatusOr<uint64_t> MemStore::Commit(const Batch& batch) {
  RETURN_IF_ERROR(ValidateBatch(batch));
  absl::MutexLock lock(&mu_);
  if (fault_ != nullptr) RETURN_IF_ERROR(fault_(batch));
  auto lookup =
      [this](const Key& key) -> absl::StatusOr<std::optional<Stored>> {
    mu_.AssertHeld();
    auto it = records_.find(key.ToString());
    if (it == records_.end()) return std::nullopt;
    return Stored{it->second.revision, it->second.value};
  };
  ASSIGN_OR_RETURN(std::vector<Change> changes,
                   PlanCommit(batch, revision_ + 1, lookup));
  if (changes.empty()) return revision_;
  ++revision_;
  for (const Change& change : changes) {
    if (change.op == Change::Op::kPut) {
      records_[change.key.ToString()] = {change.key, change.value, revision_};
    } else {
      records_.erase(change.key.ToString());
    }
  }
  const absl::Time now = clock_.Now();
  auto entry = std::make_shared<CommitEntry>();
  entry->revision = revision_;
  entry->time = now;
  entry->changes = std::move(changes);
  feed_.Publish({std::move(entry)});
  feed_.DropOlder(now - retention_.age, retention_.min_commits);
  return revision_;
}

absl::Status MemStore::AwaitDurable(uint64_t /*revision*/) {
  absl::MutexLock lock(&mu_);
  return durable_;
}

void MemStore::SetDurable(absl::Status status) {
  absl::MutexLock lock(&mu_);
  durable_ = std::move(status);
}

absl::StatusOr<Record> MemStore::Get(const Key& key) {
  absl::MutexLock lock(&mu_);
  auto it = records_.find(key.ToString());
  if (it == records_.end()) return NoSuchRecord(key);
  return it->second;
}

absl::StatusOr<Listing> MemStore::List(const Filter& filter) {
  const std::string prefix = ListPrefix(filter);
  absl::MutexLock lock(&mu_);
  Listing listing;
  listing.revision = revision_;
  for (auto it = records_.lower_bound(prefix);
       it != records_.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (filter.Matches(it->second.key)) listing.records.push_back(it->second);
  }
  return listing;
}

absl::StatusOr<std::unique_ptr<Watcher>> MemStore::Watch(uint64_t after,
                                                         const Filter& filter) {
  return feed_.Watch(after, filter);
}

uint64_t MemStore::CurrentRevision() {
  absl::MutexLock lock(&mu_);
  return revision_;
}

void MemStore::SetFault(Fault fault) {
  absl::MutexLock lock(&mu_);
  fault_ = std::move(fault);
}

}  // namespace bulwark::store
