// RocksDB with our options and our errors.
#ifndef STORE_ROCKS_DATABASE_H_
#define STORE_ROCKS_DATABASE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "rocksdb/db.h"

namespace bulwark::store {

inline rocksdb::Slice ToSlice(absl::string_view s) {
  return {s.data(), s.size()};
}
inline absl::string_view ToView(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

// `status` as "<op> <object>: <cause>": corruption is DATA_LOSS, a full disk
// RESOURCE_EXHAUSTED, other trouble with the disk UNAVAILABLE.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view op,
                       absl::string_view object);

// Whether an error of a database tells that it is damaged: files that are named
// but missing are damage as much as bad checksums.
bool IsDamage(const absl::Status& status);

// Opens the database in directory `path`, or makes one there if there is none,
// after the audits of its manifest and logs (see audit.h for `aside`), which
// verify the checksums of all its tables, as this does where they need not.
// An error that IsDamage() means that nothing was changed, unless `aside` was
// made: then RocksDB found what the audits did not. `env` is borrowed.
absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenDatabase(
    const std::string& path, const std::string& aside, rocksdb::Env* env);

}  // namespace bulwark::store

#endif  // STORE_ROCKS_DATABASE_H_
