// What the audits at start read and write of a database that is not open.
#ifndef STORE_ROCKS_AUDIT_FILES_H_
#define STORE_ROCKS_AUDIT_FILES_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "rocksdb/env.h"
#include "store/rocks/log_scan.h"

namespace bulwark::store {

struct LogFile {
  std::string path;
  std::string bytes;
  LogScan scan;  // left to who scans it
};

// The write-ahead logs of the database in `path`, oldest first.
absl::StatusOr<std::vector<LogFile>> ReadLogs(const std::string& path,
                                              rocksdb::Env* env);

// The database without its logs.
struct Tables {
  std::optional<uint64_t> revision;  // the last in them
  std::set<std::string> files;       // their names
};
// As the manifest says, or one with the contents `manifest` in its place. An
// error that IsDamage() if they are not all there, or a checksum does not fit.
absl::StatusOr<Tables> ReadTables(const std::string& path,
                                  std::optional<absl::string_view> manifest,
                                  rocksdb::Env* env);

// The name of the current manifest; NOT_FOUND if there is no database.
absl::StatusOr<std::string> CurrentManifest(const std::string& path,
                                            rocksdb::Env* env);

// Replaces the file at `path`, which holds `bytes`, by its first `length`
// bytes, and keeps the original in `aside`, a directory that is made. The
// directory of the file is not synced.
absl::Status CutFile(const std::string& path, absl::string_view bytes,
                     uint64_t length, const std::string& aside,
                     rocksdb::Env* env);

// Makes the names in the directory `path` durable.
absl::Status SyncNames(const std::string& path, rocksdb::Env* env);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_AUDIT_FILES_H_
