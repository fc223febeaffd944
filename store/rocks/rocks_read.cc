// Reading: rows, listings, the stored change log.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/snapshot.h"
#include "store/commit.h"
#include "store/rocks/database.h"
#include "store/rocks/home.h"
#include "store/rocks/rocks_store.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

// Of a chunk of the log; one commit may be larger.
constexpr size_t kChunkBytes = size_t{8} << 20;
// Between two attempts of readers to open a failed database.
constexpr absl::Duration kReopeningPeriod = absl::Milliseconds(500);

}  // namespace

absl::StatusOr<std::string> RocksStore::ReadRow(
    absl::string_view row, const rocksdb::Snapshot* snapshot) {
  if (db_ == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "read ", home_->db(), ": the database failed and could not be opened",
        " again yet"));
  }
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const rocksdb::Status status = db_->Get(options, ToSlice(row), &value);
  if (!status.ok()) return FromRocks(status, "read", row);
  return value;
}

absl::StatusOr<uint64_t> RocksStore::ReadNumber(
    absl::string_view row, const rocksdb::Snapshot* snapshot) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadRow(row, snapshot));
  return rows::DecodeNumber(row, bytes);
}

void RocksStore::EnsureOpen() {
  if (!closed_) return;
  {
    absl::MutexLock lock(&queue_mu_);
    const absl::Duration now = clock_.Steady();
    if (now < next_reopening_) return;
    next_reopening_ = now + kReopeningPeriod;
  }
  // Nothing, but by the only thread that may.
  Commit(Batch()).status().IgnoreError();  // the read says what is wrong
}

absl::StatusOr<Record> RocksStore::Get(const Key& key) {
  EnsureOpen();
  const std::string row = rows::ObjectRow(key);
  absl::ReaderMutexLock lock(&db_mu_);
  absl::StatusOr<std::string> bytes = ReadRow(row, nullptr);
  if (absl::IsNotFound(bytes.status())) return NoSuchRecord(key);
  RETURN_IF_ERROR(bytes.status());
  ASSIGN_OR_RETURN(Stored stored, rows::DecodeObject(row, *bytes));
  return Record{key, std::move(stored.value), stored.revision};
}

absl::StatusOr<Listing> RocksStore::List(const Filter& filter) {
  const std::string prefix = absl::StrCat(rows::kObjects, ListPrefix(filter));
  const std::string end = rows::EndOf(prefix);
  const rocksdb::Slice upper(end);
  EnsureOpen();
  absl::ReaderMutexLock lock(&db_mu_);
  if (db_ == nullptr) return ReadRow(rows::kRevision, nullptr).status();
  rocksdb::ManagedSnapshot snapshot(db_.get());
  Listing listing;
  ASSIGN_OR_RETURN(listing.revision,
                   ReadNumber(rows::kRevision, snapshot.snapshot()));
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.snapshot();
  options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->Seek(prefix); it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(Key key, rows::DecodeObjectRow(ToView(it->key())));
    if (!filter.Matches(key)) continue;
    ASSIGN_OR_RETURN(Stored stored, rows::DecodeObject(ToView(it->key()),
                                                       ToView(it->value())));
    listing.records.push_back(
        {std::move(key), std::move(stored.value), stored.revision});
  }
  RETURN_IF_ERROR(FromRocks(it->status(), "list", home_->db()));
  return listing;
}

absl::StatusOr<std::unique_ptr<Watcher>> RocksStore::Watch(
    uint64_t after, const Filter& filter) {
  if (after > feed_->Current()) {
    // A listing may see a commit an instant before the feed has it.
    absl::StatusOr<uint64_t> stored;
    {
      absl::ReaderMutexLock lock(&db_mu_);
      stored = ReadNumber(rows::kRevision, nullptr);
    }
    RETURN_IF_ERROR(stored.status());
    if (after <= *stored) feed_->AwaitRevision(after);
  }
  return feed_->Watch(after, filter);
}

uint64_t RocksStore::CurrentRevision() { return feed_->Current(); }

absl::StatusOr<std::vector<CommitPtr>> RocksStore::ReadLog(uint64_t after,
                                                           size_t limit) {
  absl::ReaderMutexLock lock(&db_mu_);
  return ReadLogLocked(after, limit);
}

absl::StatusOr<std::vector<CommitPtr>> RocksStore::ReadLogLocked(uint64_t after,
                                                                 size_t limit) {
  if (db_ == nullptr) return ReadRow(rows::kFloor, nullptr).status();
  rocksdb::ManagedSnapshot snapshot(db_.get());
  ASSIGN_OR_RETURN(const uint64_t floor,
                   ReadNumber(rows::kFloor, snapshot.snapshot()));
  if (after != floor) {
    const absl::Status found =
        ReadRow(rows::LogRow(after), snapshot.snapshot()).status();
    if (absl::IsNotFound(found) || after < floor) {
      return absl::OutOfRangeError(absl::StrCat(
          "watch from revision ", after, ": the change log begins at ", floor,
          " or does not know it; list again"));
    }
    RETURN_IF_ERROR(found);
  }
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.snapshot();
  const std::string end = rows::EndOf(rows::kLog);
  const rocksdb::Slice upper(end);
  options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  std::vector<CommitPtr> commits;
  size_t bytes = 0;
  for (it->Seek(rows::LogRow(after + 1));
       it->Valid() && commits.size() < limit && bytes < kChunkBytes;
       it->Next()) {
    bytes += it->value().size();
    ASSIGN_OR_RETURN(CommitEntry entry,
                     rows::DecodeEntry(ToView(it->key()), ToView(it->value())));
    commits.push_back(std::make_shared<const CommitEntry>(std::move(entry)));
  }
  RETURN_IF_ERROR(
      FromRocks(it->status(), "read the change log of", home_->db()));
  return commits;
}

}  // namespace bulwark::store
