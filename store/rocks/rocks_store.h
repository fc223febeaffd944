// The durable store, on RocksDB.
#ifndef STORE_ROCKS_ROCKS_STORE_H_
#define STORE_ROCKS_ROCKS_STORE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/histogram.h"
#include "store/feed.h"
#include "store/rocks/rocks_options.h"
#include "store/store.h"

namespace rocksdb {
class DB;
class Snapshot;
}  // namespace rocksdb

namespace bulwark::store {

class Home;

// See MetadataStore. Concurrent commits are written in groups, one fsync each;
// what is seen early is synced on its own, after it was written.
// After an error of the disk the next commit reopens the database.
class RocksStore final : public MetadataStore {
 public:
  // Opens the store, or makes a new one where there is none; nothing that is
  // there is ever overwritten. The clock and entropy are borrowed.
  //   FAILED_PRECONDITION  another process uses it, or a newer version of the
  //                        program wrote it: the message says what to do
  //   DATA_LOSS            it is damaged: the message names the newest
  //                        checkpoint and how to put it back
  static absl::StatusOr<std::unique_ptr<RocksStore>> Open(RocksOptions options,
                                                          Clock& clock,
                                                          Entropy& entropy);

  ~RocksStore() override;

  absl::StatusOr<uint64_t> Commit(const Batch& batch) override;
  absl::Status AwaitDurable(uint64_t revision) override;
  absl::StatusOr<Record> Get(const Key& key) override;
  absl::StatusOr<Listing> List(const Filter& filter) override;
  absl::StatusOr<std::unique_ptr<Watcher>> Watch(uint64_t after,
                                                 const Filter& filter) override;
  uint64_t CurrentRevision() override;
  std::string InstanceId() override { return instance_; }

  // Writes a consistent copy of the database into `directory`, which must not
  // exist, while the store is in use. The copy may take the place of db/.
  absl::Status Checkpoint(const std::string& directory);

  // Counters since the start.
  struct Stats {
    int64_t commits = 0;   // that changed something
    int64_t writes = 0;    // groups of commits, with one fsync at most
    int64_t failures = 0;  // writes that failed
    int64_t reopened = 0;  // times a failed database was opened again
    Histogram::Snapshot write_time;
    uint64_t revision = 0;       // of the last commit
    uint64_t log_revisions = 0;  // that the change log reaches back
  };
  Stats GetStats() const;

 private:
  struct Pending;
  struct Group;

  RocksStore(RocksOptions options, Clock& clock, std::unique_ptr<Home> home);

  // rocks_open.cc
  absl::Status Start(Entropy& entropy);
  absl::Status CheckSchema(bool complete, Entropy& entropy)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status CheckInstance(const std::string& marker)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status Initialize(Entropy& entropy) ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  void PlanFirstCheckpoint(uint64_t revision);
  absl::Status LoadNumbers() ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status Recover();
  void KeepCheckpoints(absl::Time now);
  absl::Status OwnTables(const std::string& directory) const;
  void RemoveCopy(const std::string& directory) const;

  // rocks_store.cc; all run only on the one committing thread, but the first.
  absl::StatusOr<uint64_t> CommitInTurn(const Batch& batch)
      ABSL_LOCKS_EXCLUDED(queue_mu_);
  void CommitGroup(const std::vector<Pending*>& pending);
  absl::Status Plan(Group& group) ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status PlanOne(Group& group, Pending& pending)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status AdmitToDisk(const Group& group, const Batch& batch,
                           const std::vector<Change>& changes) const;
  absl::Status PlanTrim(Group& group) ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::Status Write(Group& group) ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  void Resolve(Group& group, absl::Status written);
  void AfterCommit(absl::Time now);

  // rocks_sync.cc
  // That AwaitDurable() has to wait for all up to `revision`.
  void WantDurable(uint64_t revision);
  // All up to `revision` was written, and up to `seen_early` may be synced
  // later than it is seen; 0: nothing of it.
  void NoteWritten(uint64_t revision, uint64_t seen_early);
  // So that one sync is enough for both. Not for long.
  void AwaitFollower(uint64_t revision);
  // An append to the log failed, and RocksDB does not know it yet.
  void NoteAppendFailed() ABSL_LOCKS_EXCLUDED(unfailed_mu_);
  // The database holds only what is up to `revision`, all of it synced.
  void NoteRecovered(uint64_t revision, uint64_t published);
  // Syncs the log; after an error it has the database opened again.
  absl::Status SyncOnce() ABSL_LOCKS_EXCLUDED(db_mu_, queue_mu_, sync_mu_);

  // rocks_read.cc
  // Opens a failed database again, if that was not tried just now: who cannot
  // read does not come to commit anything.
  void EnsureOpen() ABSL_LOCKS_EXCLUDED(db_mu_, queue_mu_);
  absl::StatusOr<std::string> ReadRow(absl::string_view row,
                                      const rocksdb::Snapshot* snapshot)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::StatusOr<uint64_t> ReadNumber(absl::string_view row,
                                      const rocksdb::Snapshot* snapshot)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);
  absl::StatusOr<std::vector<CommitPtr>> ReadLog(uint64_t after, size_t limit)
      ABSL_LOCKS_EXCLUDED(db_mu_);
  absl::StatusOr<std::vector<CommitPtr>> ReadLogLocked(uint64_t after,
                                                       size_t limit)
      ABSL_SHARED_LOCKS_REQUIRED(db_mu_);

  const RocksOptions options_;
  Clock& clock_;
  const std::unique_ptr<Home> home_;
  const std::unique_ptr<rocksdb::Env> env_;  // of the database
  std::string instance_;

  // Readers and the committing thread share it; reopening excludes them.
  absl::Mutex db_mu_;
  std::unique_ptr<rocksdb::DB> db_ ABSL_GUARDED_BY(db_mu_);
  std::atomic<bool> closed_{false};  // no db_: it failed
  std::unique_ptr<Feed> feed_;

  absl::Mutex queue_mu_;
  std::deque<Pending*> queue_ ABSL_GUARDED_BY(queue_mu_);
  bool leading_ ABSL_GUARDED_BY(queue_mu_) = false;
  absl::Duration next_reopening_ ABSL_GUARDED_BY(queue_mu_);

  // Only the committing thread (the leader) touches these.
  uint64_t last_ = 0;   // the last revision handed out
  uint64_t limit_ = 0;  // as stored
  uint64_t floor_ = 0;  // as stored
  absl::Duration next_trim_;
  absl::Duration next_reserve_;
  absl::Duration next_checkpoint_;

  // Set from any thread: the next leader opens the database again.
  std::atomic<bool> broken_{false};
  std::atomic<uint64_t> synced_{0};   // all up to it is on the disk
  std::atomic<uint64_t> written_{0};  // all up to it is in the log

  // Held while the log is synced, by whichever call; inside db_mu_.
  absl::Mutex log_sync_mu_;
  // Held while the log is synced beside writes, and no append may fail: RocksDB
  // ends the process where it is told of that first (assertion in
  // WritableFileWriter::SyncWithoutFlush, 7.8). Inside log_sync_mu_.
  absl::Mutex unfailed_mu_;
  absl::Mutex sync_mu_;
  bool syncing_ ABSL_GUARDED_BY(sync_mu_) = false;
  uint64_t wanted_ ABSL_GUARDED_BY(sync_mu_) = 0;  // the last durable one
  uint64_t written_early_ ABSL_GUARDED_BY(sync_mu_) = 0;
  // Revisions that were seen, and that a failed disk did not keep: ]from, to].
  std::vector<std::pair<uint64_t, uint64_t>> lost_ ABSL_GUARDED_BY(sync_mu_);

  std::atomic<int64_t> commits_{0};
  std::atomic<int64_t> writes_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> reopened_{0};
  std::atomic<uint64_t> kept_floor_{0};  // floor_, for other threads
  Histogram write_time_;
};

// RocksStore::Open, for those who only need the port.
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenRocksStore(
    RocksOptions options, Clock& clock, Entropy& entropy);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_ROCKS_STORE_H_
