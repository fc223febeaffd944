#include "store/rocks/manifest_audit.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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

// Whether the table was written to its end: it was not if its footer, which is
// there with all tables that a manifest has ever named, is not.
absl::StatusOr<bool> IsFinished(const std::string& table, rocksdb::Env* env) {
  // Of block-based tables, at the end (RocksDB wiki, "Rocksdb BlockBasedTable
  // Format").
  constexpr absl::string_view kMagic = "\xf7\xcf\xf4\x85\xb7\x41\xe2\x88";
  std::string bytes;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(env, table, &bytes), "read", table));
  return absl::EndsWith(bytes, kMagic);
}

// The last revision in one table, if it has any.
absl::StatusOr<std::optional<uint64_t>> RevisionIn(const std::string& table,
                                                   rocksdb::Env* env) {
  ASSIGN_OR_RETURN(const bool finished, IsFinished(table, env));
  if (!finished) return std::nullopt;
  rocksdb::Options options;
  options.env = env;
  rocksdb::SstFileReader reader(options);
  RETURN_IF_ERROR(FromRocks(reader.Open(table), "read", table));
  const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator({}));
  it->Seek(ToSlice(rows::kRevision));
  RETURN_IF_ERROR(FromRocks(it->status(), "read", table));
  if (!it->Valid() || ToView(it->key()) != rows::kRevision) return std::nullopt;
  ASSIGN_OR_RETURN(const uint64_t revision,
                   rows::DecodeNumber(rows::kRevision, ToView(it->value())));
  return revision;
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

// DATA_LOSS unless all that the manifest says up to `sound`, of which the rest
// is not, is still there, and nothing acknowledged beside it.
absl::Status Judge(const std::string& path, const std::string& file,
                   absl::string_view sound, rocksdb::Env* env) {
  const auto lost = [&file](absl::string_view what) {
    return absl::DataLossError(
        absl::StrCat("checksum mismatch in ", file, ", and ", what));
  };
  const absl::StatusOr<Tables> tables = ReadTables(path, sound, env);
  if (IsDamage(tables.status())) {
    return lost(absl::StrCat("what it said before is not all there: ",
                             tables.status().message()));
  }
  RETURN_IF_ERROR(tables.status());
  const uint64_t flushed = tables->revision.value_or(0);
  ASSIGN_OR_RETURN(const uint64_t reached, ReachedRevision(path, flushed, env));
  // A log that goes on from these tables: it is removed when the change that
  // makes it needless is on the disk, so this one was not. What it does not
  // have was never synced.
  if (reached > flushed) return absl::OkStatus();
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(path, &names), "list", path));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".sst") || tables->files.count(name) != 0) {
      continue;
    }
    const std::string other = absl::StrCat(path, "/", name);
    const absl::StatusOr<std::optional<uint64_t>> last = RevisionIn(other, env);
    if (absl::IsDataLoss(last.status())) {
      return lost(absl::StrCat("a table that it may have named is damaged: ",
                               last.status().message()));
    }
    RETURN_IF_ERROR(last.status());
    if (*last > tables->revision) {
      return lost(absl::StrCat(other, " has commits up to revision ", **last,
                               " that no log and no other table has"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AuditManifest(const std::string& path, const std::string& aside,
                           rocksdb::Env* env) {
  const absl::StatusOr<std::string> name = CurrentManifest(path, env);
  if (absl::IsNotFound(name.status())) return absl::OkStatus();
  RETURN_IF_ERROR(name.status());
  if (!absl::StartsWith(*name, "MANIFEST-")) return absl::OkStatus();
  const std::string file = absl::StrCat(path, "/", *name);
  if (env->FileExists(file).IsNotFound()) return absl::OkStatus();
  std::string bytes;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(env, file, &bytes), "read", file));
  const LogScan scan = ScanLog(bytes, [](const ScannedRecord&) {});
  if (scan.end == LogScan::End::kClean) return absl::OkStatus();
  if (scan.sound_end == 0) {
    return absl::DataLossError(absl::StrCat("checksum mismatch in ", file));
  }
  RETURN_IF_ERROR(Judge(
      path, file, absl::string_view(bytes).substr(0, scan.sound_end), env));
  // RocksDB leaves a torn end out by itself.
  if (scan.end == LogScan::End::kTorn) return absl::OkStatus();
  RETURN_IF_ERROR(CutFile(file, bytes, scan.sound_end, aside, env));
  return SyncNames(path, env);
}

}  // namespace bulwark::store
