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

// Checks the manifest of the database in `path` before it is opened. Where it
// is damaged, and all that it said before is still there, tables and logs, it
// is cut there; the original is kept in `aside`. What is left alone is for
// RocksDB to tell.
// DATA_LOSS (and nothing is changed) if there is a table with commits that
// would be gone, or the logs miss some that were acknowledged.
absl::Status AuditManifest(const std::string& path, const std::string& aside,
                           rocksdb::Env* env);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_MANIFEST_AUDIT_H_
