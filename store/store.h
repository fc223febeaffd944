// Port of the metadata store: the one durable truth of the control plane.
//
// It holds small records (serialized messages, opaque here) under keys, gives
// every commit a number, and keeps the changes of the last hour, so that a
// reader can list once and then follow. Implementations: store/mem (tests, the
// simulator) and store/rocks (production); tests/contract/store_contract.h
// states what both promise.
#ifndef STORE_STORE_H_
#define STORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "store/batch.h"
#include "store/key.h"

namespace bulwark::store {

// One stored object.
struct Record {
  Key key;
  std::string value;
  uint64_t revision = 0;  // of the commit that wrote `value`
};

// What one commit did to one key.
struct Change {
  enum class Op { kPut, kDelete };

  uint64_t revision = 0;  // of the commit; all changes of one commit share it
  Op op = Op::kPut;
  Key key;
  std::string value;     // kPut: the new value
  std::string previous;  // kDelete: the last value
  bool created = false;  // kPut: the key did not exist before
};

// A consistent view: all matching records as of `revision`, in the order of
// Key::ToString().
struct Listing {
  std::vector<Record> records;
  uint64_t revision = 0;
};

// A position in the sequence of commits. Next() is for one thread; Cancel()
// and Revision() may be called from any. Holds no queue: a slow reader costs
// nothing, it falls back to reading the stored log. Must not outlive its
// store.
class Watcher {
 public:
  virtual ~Watcher() = default;

  // Blocks until changes are there or `timeout` has passed (then the result is
  // empty). Returns them in commit order, whole commits only: a commit's
  // changes are never split over two calls. At most a few hundred commits a
  // call.
  //   OUT_OF_RANGE  the reader fell behind what the log keeps: list again
  //   CANCELLED     Cancel() was called, or the store is closing
  virtual absl::StatusOr<std::vector<Change>> Next(absl::Duration timeout) = 0;

  // All matching changes up to this revision were returned. Grows also when
  // commits pass that the filter drops: a resume point for idle streams.
  virtual uint64_t Revision() const = 0;

  // Wakes a blocked Next(), for ever. Idempotent.
  virtual void Cancel() = 0;
};

// Thread-safe. Readers see only what is committed; readers and watchers see
// a durable commit only after it reached the disk, unless it is SeenEarly().
// Methods block for disk access (Commit: for an fsync), never for other
// callers' waiting.
class MetadataStore {
 public:
  virtual ~MetadataStore() = default;

  // Applies all of `batch` or nothing, and returns the revision it got.
  // Revisions grow strictly, with gaps allowed. A batch that changes nothing
  // (empty, or only deletions of missing keys) returns the current revision.
  // A durable batch is fsynced, with everything committed before it, before
  // this returns; any other may be lost if the machine (not the process) dies.
  //   INVALID_ARGUMENT    malformed or repeated key, or value over kMaxValue
  //   ABORTED             an expected revision does not hold: the message
  //                       names the key; read again, retry
  //   RESOURCE_EXHAUSTED  no disk space: nothing is written, retry later
  //   UNAVAILABLE         the disk failed, and the store reopens itself on the
  //                       next commit: whether this batch was written is not
  //                       known, read again
  //   DATA_LOSS           the database is damaged
  virtual absl::StatusOr<uint64_t> Commit(const Batch& batch) = 0;

  // Waits until all durable commits up to `revision` are on the disk: before
  // something lasting is done for what a batch that is SeenEarly() holds.
  //   UNAVAILABLE  the disk failed: whether they are there is not known, or
  //                they are lost; read again
  virtual absl::Status AwaitDurable(uint64_t revision) = 0;

  // NOT_FOUND if there is no such record.
  virtual absl::StatusOr<Record> Get(const Key& key) = 0;

  virtual absl::StatusOr<Listing> List(const Filter& filter) = 0;

  // Follows all commits after revision `after`, usually a Listing's:
  // nothing between the listing and the first change is lost.
  //   OUT_OF_RANGE  the log does not reach back to `after` (it keeps an hour),
  //                 or `after` is not of this store's history: list again
  virtual absl::StatusOr<std::unique_ptr<Watcher>> Watch(
      uint64_t after, const Filter& filter) = 0;

  // The last commit's revision; 0 for a new store.
  virtual uint64_t CurrentRevision() = 0;

  // Random, made with the store and kept for its life: two stores never share
  // it, so a client can tell that a revision is of another history.
  virtual std::string InstanceId() = 0;
};

// How much of the change log is kept: what is younger than `age`, and at least
// the last `min_commits` commits.
struct LogRetention {
  absl::Duration age = absl::Hours(1);
  size_t min_commits = 1000;
};

}  // namespace bulwark::store

#endif  // STORE_STORE_H_
