#include "store/rocks/manifest_audit.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "rocksdb/iterator.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_reader.h"
#include "store/rocks/audit.h"
#include "store/rocks/audit_files.h"
#include "store/rocks/database.h"
#include "store/rocks/log_scan.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

// The last revision in one table; 0 if it has none, or was not written to its
// end: then no manifest ever named it.
uint64_t RevisionIn(const std::string& table, rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  rocksdb::SstFileReader reader(options);
  if (!reader.Open(table).ok()) return 0;
  const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator({}));
  it->Seek(std::string(rows::kRevision));
  if (!it->Valid() || ToView(it->key()) != rows::kRevision) return 0;
  return rows::DecodeNumber(rows::kRevision, ToView(it->value())).value_or(0);
}

// The last revision with these tables and the logs.
absl::StatusOr<uint64_t> ReachedRevision(const std::string& path,
                                         uint64_t flushed, rocksdb::Env* env) {
  ASSIGN_OR_RETURN(std::vector<LogFile> logs, ReadLogs(path, env));
  const std::vector<Found> found = ScanLogs(logs);
  ASSIGN_OR_RETURN(const size_t keep, JudgeRecords(found, flushed));
  uint64_t reached = flushed;
  for (size_t i = 0; i < keep; ++i) {
    reached = std::max(reached, found[i].stamp.last);
  }
  return reached;
}

}  // namespace

absl::Status AuditManifest(const std::string& path, const std::string& aside,
                           rocksdb::Env* env) {
  const absl::StatusOr<std::string> name = CurrentManifest(path, env);
  if (absl::IsNotFound(name.status())) return absl::OkStatus();
  RETURN_IF_ERROR(name.status());
  const std::string file = absl::StrCat(path, "/", *name);
  if (env->FileExists(file).IsNotFound()) return absl::OkStatus();
  std::string bytes;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(env, file, &bytes), "read", file));
  const LogScan scan = ScanLog(bytes, [](const ScannedRecord&) {});
  if (scan.end != LogScan::End::kDamaged || scan.sound_end == 0) {
    return absl::OkStatus();
  }
  const absl::StatusOr<Tables> tables =
      ReadTables(path, absl::string_view(bytes).substr(0, scan.sound_end), env);
  if (absl::IsResourceExhausted(tables.status())) return tables.status();
  // Some of them are gone: what the end said was on the disk once.
  if (!tables.ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t reached,
                   ReachedRevision(path, tables->revision, env));
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(path, &names), "list", path));
  for (const std::string& table : names) {
    if (!absl::EndsWith(table, ".sst") || tables->files.count(table) != 0) {
      continue;
    }
    const std::string other = absl::StrCat(path, "/", table);
    if (const uint64_t last = RevisionIn(other, env); last > reached) {
      return absl::DataLossError(absl::StrCat(
          "checksum mismatch in ", file, ", which does not name ", other,
          " any more: commits from revision ", reached + 1, " to ", last));
    }
  }
  RETURN_IF_ERROR(CutFile(file, bytes, scan.sound_end, aside, env));
  return SyncNames(path, env);
}

}  // namespace bulwark::store
