// Committing. One thread at a time is the leader: it takes what waits in the
// queue, checks and numbers it, and writes it as one WriteBatch with one
// fsync (for what may be seen early: rocks_sync.cc). So revisions, the order in
// RocksDB's log and the order that watchers see are one, and nothing is held
// while the disk works that a reader needs.
#include "store/rocks/rocks_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "store/commit.h"
#include "store/rocks/audit.h"
#include "store/rocks/database.h"
#include "store/rocks/home.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

constexpr size_t kGroupCommits = 128;
constexpr size_t kGroupBytes = size_t{4} << 20;

// Revisions are promised to the disk in steps of this many, so that a number
// is not used twice after a crash lost commits that were not durable.
constexpr uint64_t kLimitStep = 1000;

constexpr absl::Duration kTrimEvery = absl::Seconds(15);
// Of RocksOptions::min_free_bytes.
constexpr int64_t kUpdateShare = 4;
constexpr int64_t kEssentialShare = 16;
constexpr absl::Duration kReserveEvery = absl::Minutes(1);
constexpr int kTrimAtMost = 20000;  // log rows; bounds the pause

size_t SizeOf(const Batch& batch) {
  size_t bytes = 0;
  for (const Batch::Item& item : batch.items()) bytes += item.value.size();
  return bytes;
}

}  // namespace

// A caller of Commit().
struct RocksStore::Pending {
  const Batch* batch;
  absl::StatusOr<uint64_t> result = absl::InternalError("commit: not run");
  bool planned = false;  // `result` holds if the group is written
  bool done = false;     // guarded by queue_mu_
};

// What the leader writes in one go.
struct RocksStore::Group {
  absl::Time now;
  std::optional<int64_t> free_bytes;
  rocksdb::WriteBatch rows;
  bool sync = false;
  uint64_t seen_early = 0;  // the last revision of that kind
  std::vector<CommitPtr> commits;
  std::vector<Pending*> pending;
  // The group's own effects, over what the database holds.
  std::map<std::string, std::optional<Stored>> overlay;
  uint64_t last;  // revisions as they will be if it is written
  uint64_t limit;
  uint64_t floor;
};

absl::StatusOr<uint64_t> RocksStore::Commit(const Batch& batch) {
  RETURN_IF_ERROR(ValidateBatch(batch));
  ASSIGN_OR_RETURN(const uint64_t revision, CommitInTurn(batch));
  if (batch.followed()) AwaitFollower(revision);
  // Also of one that changes nothing: it was judged by what others had written.
  if (batch.durable()) RETURN_IF_ERROR(AwaitDurable(revision));
  return revision;
}

absl::StatusOr<uint64_t> RocksStore::CommitInTurn(const Batch& batch) {
  Pending me{&batch};
  std::vector<Pending*> group;
  {
    absl::MutexLock lock(&queue_mu_);
    queue_.push_back(&me);
    auto mine = [this, &me] {
      queue_mu_.AssertHeld();
      return me.done || (!leading_ && queue_.front() == &me);
    };
    queue_mu_.Await(absl::Condition(&mine));
    if (me.done) return std::move(me.result);
    leading_ = true;
    size_t bytes = 0;
    while (!queue_.empty() && group.size() < kGroupCommits &&
           bytes < kGroupBytes) {
      bytes += SizeOf(*queue_.front()->batch);
      group.push_back(queue_.front());
      queue_.pop_front();
    }
  }
  CommitGroup(group);
  absl::MutexLock lock(&queue_mu_);
  for (Pending* pending : group) pending->done = true;
  leading_ = false;
  return std::move(me.result);
}

void RocksStore::CommitGroup(const std::vector<Pending*>& pending) {
  Group group;
  group.now = clock_.Now();
  group.pending = pending;
  if (broken_) {
    if (absl::Status s = Recover(); !s.ok()) {
      for (Pending* p : pending) p->result = s;
      return;
    }
  }
  group.last = last_;
  group.limit = limit_;
  group.floor = floor_;
  absl::Status written;
  {
    absl::ReaderMutexLock lock(&db_mu_);
    written = Plan(group);
    if (written.ok() && !group.commits.empty()) written = Write(group);
  }
  Resolve(group, std::move(written));
  AfterCommit(group.now);
}

absl::Status RocksStore::Plan(Group& group) {
  if (options_.free_bytes) {
    group.free_bytes = options_.free_bytes();
  } else if (absl::StatusOr<int64_t> free = home_->FreeBytes(); free.ok()) {
    group.free_bytes = *free;
  }
  for (Pending* pending : group.pending) {
    if (absl::Status s = PlanOne(group, *pending); !s.ok()) {
      pending->result = std::move(s);
    } else {
      pending->planned = true;
    }
  }
  if (group.commits.empty()) return absl::OkStatus();
  if (group.last > group.limit) {
    group.limit = group.last + kLimitStep;
    group.rows.Put(ToSlice(rows::kLimit), rows::EncodeNumber(group.limit));
    group.sync = true;
  }
  group.rows.Put(ToSlice(rows::kRevision), rows::EncodeNumber(group.last));
  RETURN_IF_ERROR(PlanTrim(group));
  AddStamp(
      {.previous = feed_->Current(), .last = group.last, .synced = synced_},
      group.rows);
  return absl::OkStatus();
}

absl::Status RocksStore::PlanOne(Group& group, Pending& pending) {
  auto lookup = [&](const Key& key) -> absl::StatusOr<std::optional<Stored>> {
    db_mu_.AssertReaderHeld();
    const std::string row = rows::ObjectRow(key);
    if (auto it = group.overlay.find(row); it != group.overlay.end()) {
      return it->second;
    }
    absl::StatusOr<std::string> bytes = ReadRow(row, nullptr);
    if (absl::IsNotFound(bytes.status())) return std::nullopt;
    RETURN_IF_ERROR(bytes.status());
    return rows::DecodeObject(row, *bytes);
  };
  ASSIGN_OR_RETURN(std::vector<Change> changes,
                   PlanCommit(*pending.batch, group.last + 1, lookup));
  if (changes.empty()) {
    pending.result = group.last;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(AdmitToDisk(group, *pending.batch, changes));
  const uint64_t revision = ++group.last;
  for (const Change& change : changes) {
    const std::string row = rows::ObjectRow(change.key);
    if (change.op == Change::Op::kPut) {
      group.rows.Put(row, rows::EncodeObject(revision, change.value));
      group.overlay[row] = Stored{revision, change.value};
    } else {
      group.rows.Delete(row);
      group.overlay[row] = std::nullopt;
    }
  }
  auto entry = std::make_shared<CommitEntry>();
  entry->revision = revision;
  entry->time = group.now;
  entry->changes = std::move(changes);
  group.rows.Put(rows::LogRow(revision), rows::EncodeEntry(*entry));
  group.commits.push_back(std::move(entry));
  if (pending.batch->seen_early()) {
    group.seen_early = revision;
  } else {
    group.sync |= pending.batch->durable();
  }
  pending.result = revision;
  return absl::OkStatus();
}

absl::Status RocksStore::AdmitToDisk(const Group& group, const Batch& batch,
                                     const std::vector<Change>& changes) const {
  if (!group.free_bytes.has_value()) return absl::OkStatus();
  const int64_t free = *group.free_bytes;
  for (const Change& change : changes) {
    if (change.op == Change::Op::kDelete) continue;
    const int64_t least =
        options_.min_free_bytes / (batch.essential() ? kEssentialShare
                                   : change.created  ? 1
                                                     : kUpdateShare);
    if (free < least && !(batch.essential() && home_->HasReserve())) {
      return absl::ResourceExhaustedError(
          absl::StrCat("commit ", change.key.ToString(), ": only ", free >> 20,
                       " MiB are left on the disk of ", home_->path(),
                       "; free some space there"));
    }
  }
  return absl::OkStatus();
}

absl::Status RocksStore::PlanTrim(Group& group) {
  const absl::Duration steady = clock_.Steady();
  if (steady < next_trim_) return absl::OkStatus();
  next_trim_ = steady + kTrimEvery;
  const std::string begin = rows::LogRow(group.floor + 1);
  const std::string end = rows::EndOf(rows::kLog);
  const rocksdb::Slice lower(begin), upper(end);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  // The oldest of the commits that stay because of their number.
  size_t kept = group.commits.size();
  for (it->SeekToLast(); it->Valid() && kept < options_.retention.min_commits;
       it->Prev()) {
    ++kept;
  }
  if (!it->Valid()) return FromRocks(it->status(), "trim", home_->db());
  const std::string last_to_go = it->key().ToString();
  const absl::Time cutoff = group.now - options_.retention.age;
  uint64_t floor = group.floor;
  int count = 0;
  for (it->SeekToFirst(); it->Valid() && count < kTrimAtMost;
       it->Next(), ++count) {
    if (it->key().compare(last_to_go) > 0) break;
    ASSIGN_OR_RETURN(
        const absl::Time time,
        rows::DecodeEntryTime(ToView(it->key()), ToView(it->value())));
    if (time >= cutoff) break;
    ASSIGN_OR_RETURN(floor, rows::DecodeLogRow(ToView(it->key())));
  }
  RETURN_IF_ERROR(FromRocks(it->status(), "trim", home_->db()));
  if (floor == group.floor) return absl::OkStatus();
  group.rows.DeleteRange(begin, rows::LogRow(floor + 1));
  group.rows.Put(ToSlice(rows::kFloor), rows::EncodeNumber(floor));
  group.floor = floor;
  return absl::OkStatus();
}

absl::Status RocksStore::Write(Group& group) {
  rocksdb::WriteOptions options;
  options.sync = group.sync && !options_.unsafe_no_sync_for_test;
  // Before anybody can see it.
  if (group.seen_early > 0) WantDurable(group.seen_early);
  const absl::Duration start = clock_.Steady();
  // After a sync that failed the next one of the same file says that all is
  // well, whatever became of the pages.
  absl::MutexLockMaybe alone(options.sync ? &log_sync_mu_ : nullptr);
  const absl::Status status =
      options.sync && broken_
          ? absl::UnavailableError("an earlier write failed")
          : FromRocks(db_->Write(options, &group.rows), "write", home_->db());
  write_time_.Observe(clock_.Steady() - start);
  ++writes_;
  if (status.ok()) {
    // Before it is published, so that a sync begins while others wake.
    NoteWritten(group.last, group.seen_early);
  } else {
    ++failures_;
    // Before the log can be synced again: what that says is worth nothing now.
    if (!absl::IsDataLoss(status)) broken_ = true;
  }
  return status;
}

RocksStore::Stats RocksStore::GetStats() const {
  // In this order: the floor only rises towards the revision.
  const uint64_t floor = kept_floor_;
  const uint64_t revision = feed_->Current();
  return {.commits = commits_,
          .writes = writes_,
          .failures = failures_,
          .reopened = reopened_,
          .write_time = write_time_.Get(),
          .revision = revision,
          .log_revisions = revision - std::min(floor, revision)};
}

void RocksStore::Resolve(Group& group, absl::Status written) {
  if (written.ok()) {
    last_ = group.last;
    if (group.sync) synced_ = group.last;
    limit_ = group.limit;
    floor_ = group.floor;
    kept_floor_ = floor_;
    commits_ += static_cast<int64_t>(group.commits.size());
    if (!group.commits.empty()) feed_->Publish(std::move(group.commits));
    feed_->DropOlder(group.now - options_.retention.age,
                     options_.retention.min_commits);
    return;
  }
  LOG_ERROR("cannot write to the store", {{"error", written}});
  // Opening the database again settles whether the write took effect, and
  // clears RocksDB's refusal of all that follows.
  if (!absl::IsDataLoss(written)) {
    broken_ = true;
    if (absl::IsResourceExhausted(written)) home_->ReleaseReserve();
    if (absl::Status s = Recover(); !s.ok()) {
      written = absl::UnavailableError(
          absl::StrCat(written.message(), "; and ", s.message(),
                       ": whether the change was written is not known"));
    } else if (feed_->Current() >= group.last) {
      return;
    }
  }
  for (Pending* pending : group.pending) {
    if (pending->planned) pending->result = written;
  }
}

void RocksStore::AfterCommit(absl::Time now) {
  const absl::Duration steady = clock_.Steady();
  if (broken_) return;
  if (steady >= next_reserve_) {
    next_reserve_ = steady + kReserveEvery;
    home_->FillReserve(options_.min_free_bytes);
  }
  if (steady >= next_checkpoint_) {
    next_checkpoint_ = steady + options_.checkpoint_every;
    KeepCheckpoints(now);
  }
}

}  // namespace bulwark::store
