// Tells, after a crash, the end of a log that a power failure may ruin from
// acknowledged commits that are gone.
//
// Commits that are not durable lie in the log unsynced, and a disk may write
// their pages in any order: after a power failure there can be holes of zeros
// and half records before the log's end. RocksDB's recovery modes either refuse
// to open then, or skip what is damaged wherever it is, in silence. So each
// batch is stamped with the revision before it, its own, and the last that was
// synced when it was written; with these, the gap that damage leaves is known.
#ifndef STORE_ROCKS_AUDIT_H_
#define STORE_ROCKS_AUDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "rocksdb/env.h"
#include "rocksdb/write_batch.h"
#include "store/rocks/audit_files.h"

namespace bulwark::store {

struct Stamp {
  uint64_t previous = 0;  // the revision that this batch follows
  uint64_t last = 0;      // its last
  uint64_t synced = 0;    // all up to here was synced before it was written
};

// Adds `stamp` to `batch`, as the last thing. Only the log keeps it.
void AddStamp(const Stamp& stamp, rocksdb::WriteBatch& batch);
// From a record of the log; nothing if there is none.
std::optional<Stamp> FindStamp(absl::string_view record);

// A stamped record, and where it was found.
struct Found {
  Stamp stamp;
  size_t file = 0;
  uint64_t begin = 0;  // offset in the file
  bool after_damage = false;
};

// Scans each of `logs`; the stamped records of all, in order.
std::vector<Found> ScanLogs(std::vector<LogFile>& logs);

// Whether `found`, in order, continues from `flushed`, the revision that
// the tables hold, such that nothing that was synced is missing. Pure.
//   DATA_LOSS  some synced revision is gone
//   OK         at most an unsynced end is gone: the position in `found` from
//              which on records must be dropped, or found.size()
absl::StatusOr<size_t> JudgeRecords(const std::vector<Found>& found,
                                    uint64_t flushed);

// Checks the logs of the database in `path` before it is opened. Where only an
// unsynced end is damaged, the logs are cut there, so that it can be opened;
// the originals are kept in `aside`, a directory that is made for them.
// DATA_LOSS (and nothing is changed) if acknowledged commits are gone.
absl::Status AuditLogs(const std::string& path, const std::string& aside,
                       rocksdb::Env* env);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_AUDIT_H_
