// Tells, after a crash, a manifest whose end a power failure ruined from one
// that is damaged.
//
// RocksDB's manifest is a log of which tables there are. A change of it counts
// when it is synced, and what it makes needless, tables and write-ahead logs,
// is removed after that. Its recovery takes an end that is cut off for a change
// that was interrupted, but not one whose pages a disk wrote in another order.
#ifndef STORE_ROCKS_MANIFEST_AUDIT_H_
#define STORE_ROCKS_MANIFEST_AUDIT_H_

#include <string>

#include "absl/status/status.h"
#include "rocksdb/env.h"

namespace bulwark::store {

// Checks the manifest of the database in `path` before it is opened. Where its
// end is not sound, and what it said before is still there, all of its tables
// and a log that goes on from them, or no table that it did not name has
// anything newer, the end was a change that was interrupted: it is cut off, and
// the original kept in `aside`, unless RocksDB leaves it out by itself. A
// missing manifest, or one that CURRENT does not name, is for RocksDB to tell.
//   DATA_LOSS  (and nothing is changed) acknowledged commits may be gone
//   others are the disk's
absl::Status AuditManifest(const std::string& path, const std::string& aside,
                           rocksdb::Env* env);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_MANIFEST_AUDIT_H_
