#include "store/rocks/database.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "rocksdb/cache.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "store/rocks/audit.h"
#include "store/rocks/audit_files.h"
#include "store/rocks/manifest_audit.h"

namespace bulwark::store {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

rocksdb::Options DatabaseOptions(rocksdb::Env* env) {
  rocksdb::Options o;
  o.env = env;
  o.create_if_missing = true;

  // A torn record at the end of the log is a write that was never
  // acknowledged. Corruption before it (that the audit left) refuses to open:
  // the default mode would drop, in silence, the acknowledged writes that
  // follow.
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  o.paranoid_checks = true;
  // On 7.8 it reports false corruption after a log is synced on its own
  // (RocksDB's HISTORY.md, 7.10.0).
  o.track_and_verify_wals_in_manifest = false;

  // The whole state is a few megabytes; the daemon's memory matters more.
  o.write_buffer_size = 4 * kMiB;
  o.max_total_wal_size = 16 * kMiB;
  o.max_background_jobs = 2;
  o.max_open_files = 256;
  o.max_manifest_file_size = kMiB;
  o.manifest_preallocation_size = 64 << 10;
  o.compression = rocksdb::kLZ4Compression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(8 * kMiB);
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  o.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  o.max_log_file_size = kMiB;
  o.keep_log_file_num = 3;
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  return o;
}

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view op,
                       absl::string_view object) {
  if (status.ok()) return absl::OkStatus();
  const std::string message =
      absl::StrCat(op, " ", object, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace() ||
      status.subcode() == rocksdb::Status::SubCode::kSpaceLimit) {
    return absl::ResourceExhaustedError(message);
  }
  if (status.IsNotFound()) return absl::NotFoundError(message);
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return absl::InternalError(message);
  }
  return absl::UnavailableError(message);
}

bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsNotFound(status) ||
         absl::StrContains(status.message(), "No such file or directory");
}

absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenDatabase(
    const std::string& path, const std::string& aside, rocksdb::Env* env) {
  RETURN_IF_ERROR(AuditManifest(path, aside, env));
  RETURN_IF_ERROR(AuditLogs(path, aside, env));
  // Before RocksDB goes on from them: a damaged database stays as it is.
  if (CurrentManifest(path, env).ok()) {
    RETURN_IF_ERROR(ReadTables(path, std::nullopt, env).status());
  }
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened =
      rocksdb::DB::Open(DatabaseOptions(env), path, &raw);
  std::unique_ptr<rocksdb::DB> db(raw);
  RETURN_IF_ERROR(FromRocks(opened, "open database", path));
  return db;
}

}  // namespace bulwark::store
