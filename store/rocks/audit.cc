#include "store/rocks/audit.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "store/rocks/database.h"
#include "store/rocks/log_scan.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

constexpr absl::string_view kMagic = "bw-stamp";
// Of a WriteBatch's encoding: the tag of log data, and the blob's length.
constexpr char kLogData = 3;
constexpr size_t kBlob = 8 + 3 * 8;

struct LogFile {
  std::string path;
  std::string bytes;
  LogScan scan;
};

absl::StatusOr<std::vector<LogFile>> ReadLogs(const std::string& path,
                                              rocksdb::Env* env) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(path, &names), "list", path));
  // Names are numbers of six digits or more.
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) {
              return std::make_pair(a.size(), a) < std::make_pair(b.size(), b);
            });
  std::vector<LogFile> logs;
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".log")) continue;
    LogFile log;
    log.path = absl::StrCat(path, "/", name);
    RETURN_IF_ERROR(
        FromRocks(rocksdb::ReadFileToString(env, log.path, &log.bytes), "read",
                  log.path));
    logs.push_back(std::move(log));
  }
  return logs;
}

// The last revision in the tables, without the logs: a read-only database of
// hard links has no logs to replay.
absl::StatusOr<uint64_t> FlushedRevision(const std::string& path,
                                         rocksdb::Env* env) {
  const std::string copy = path + ".audit";
  std::error_code ignored;
  std::filesystem::remove_all(copy, ignored);  // left by a crash
  RETURN_IF_ERROR(FromRocks(env->CreateDir(copy), "create", copy));
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(path, &names), "list", path));
  for (const std::string& name : names) {
    if (name != "CURRENT" && !absl::StartsWith(name, "MANIFEST-") &&
        !absl::EndsWith(name, ".sst")) {
      continue;
    }
    RETURN_IF_ERROR(FromRocks(env->LinkFile(absl::StrCat(path, "/", name),
                                            absl::StrCat(copy, "/", name)),
                              "link", absl::StrCat(path, "/", name)));
  }
  rocksdb::Options options;
  options.env = env;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened =
      rocksdb::DB::OpenForReadOnly(options, copy, &raw);
  std::unique_ptr<rocksdb::DB> db(raw);
  RETURN_IF_ERROR(FromRocks(opened, "read database", path));
  std::string bytes;
  const rocksdb::Status got = db->Get({}, std::string(rows::kRevision), &bytes);
  db.reset();
  std::filesystem::remove_all(copy, ignored);
  if (got.IsNotFound()) return 0;
  RETURN_IF_ERROR(FromRocks(got, "read database", path));
  return rows::DecodeNumber(rows::kRevision, bytes);
}

// How long each log may stay: nothing from `found[keep]` on, and nothing behind
// damage that no record to keep follows.
std::vector<uint64_t> Lengths(const std::vector<LogFile>& logs,
                              const std::vector<Found>& found, size_t keep) {
  std::vector<uint64_t> lengths;
  for (size_t i = 0; i < logs.size(); ++i) {
    uint64_t length = logs[i].bytes.size();
    const bool goes_on = std::any_of(
        found.begin(), found.begin() + keep,
        [i](const Found& f) { return f.after_damage && f.file == i; });
    if (logs[i].scan.end == LogScan::End::kDamaged && !goes_on) {
      length = logs[i].scan.sound_end;
    }
    if (keep < found.size() && i >= found[keep].file) {
      length = i > found[keep].file ? 0 : std::min(length, found[keep].begin);
    }
    lengths.push_back(length);
  }
  return lengths;
}

// Keeps a copy of the log in `aside`.
absl::Status Cut(const LogFile& log, uint64_t length, const std::string& aside,
                 rocksdb::Env* env) {
  const std::string name = std::filesystem::path(log.path).filename().string();
  const std::string copy = absl::StrCat(aside, "/", name);
  const std::string temporary = log.path + ".cut";
  RETURN_IF_ERROR(FromRocks(env->CreateDirIfMissing(aside), "create", aside));
  RETURN_IF_ERROR(FromRocks(
      rocksdb::WriteStringToFile(env, log.bytes, copy, true), "write", copy));
  RETURN_IF_ERROR(
      FromRocks(rocksdb::WriteStringToFile(env, log.bytes.substr(0, length),
                                           temporary, true),
                "write", temporary));
  RETURN_IF_ERROR(
      FromRocks(env->RenameFile(temporary, log.path), "write", log.path));
  LOG_WARN("cut the unsynced end of the store's log, after a power failure",
           {{"log", log.path},
            {"bytes", log.bytes.size() - length},
            {"original", copy}});
  return absl::OkStatus();
}

}  // namespace

void AddStamp(const Stamp& stamp, rocksdb::WriteBatch& batch) {
  batch.PutLogData(absl::StrCat(kMagic, rows::EncodeNumber(stamp.previous),
                                rows::EncodeNumber(stamp.last),
                                rows::EncodeNumber(stamp.synced)));
}

std::optional<Stamp> FindStamp(absl::string_view record) {
  if (record.size() < kBlob + 2) return std::nullopt;
  const absl::string_view tail = record.substr(record.size() - kBlob - 2);
  if (tail[0] != kLogData || tail[1] != static_cast<char>(kBlob) ||
      tail.substr(2, 8) != kMagic) {
    return std::nullopt;
  }
  const auto number = [&](size_t i) {
    return rows::DecodeNumber("", tail.substr(10 + 8 * i, 8)).value_or(0);
  };
  return Stamp{number(0), number(1), number(2)};
}

absl::StatusOr<size_t> JudgeRecords(const std::vector<Found>& found,
                                    uint64_t flushed) {
  uint64_t reached = flushed;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].stamp.previous <= reached) {
      reached = std::max(reached, found[i].stamp.last);
      continue;
    }
    // What lies between `reached` and this record is gone.
    for (size_t j = i; j < found.size(); ++j) {
      if (found[j].stamp.synced > reached) {
        return absl::DataLossError(absl::StrCat(
            "acknowledged commits from revision ", reached + 1, " to ",
            std::min(found[i].stamp.previous, found[j].stamp.synced),
            " are missing in the log"));
      }
    }
    return i;
  }
  return found.size();
}

absl::Status AuditLogs(const std::string& path, const std::string& aside,
                       rocksdb::Env* env) {
  ASSIGN_OR_RETURN(std::vector<LogFile> logs, ReadLogs(path, env));
  std::vector<Found> found;
  bool sound = true;
  for (size_t i = 0; i < logs.size(); ++i) {
    logs[i].scan = ScanLog(logs[i].bytes, [&](const ScannedRecord& record) {
      const std::optional<Stamp> stamp = FindStamp(record.payload);
      if (!stamp.has_value()) return;
      found.push_back({*stamp, i, record.begin, record.after_damage});
    });
    sound &= logs[i].scan.end != LogScan::End::kDamaged;
    // An append can be interrupted only at the very end.
    sound &= logs[i].scan.end == LogScan::End::kClean || i + 1 == logs.size();
  }
  if (sound) return absl::OkStatus();

  ASSIGN_OR_RETURN(const uint64_t flushed, FlushedRevision(path, env));
  ASSIGN_OR_RETURN(const size_t keep, JudgeRecords(found, flushed));
  const std::vector<uint64_t> lengths = Lengths(logs, found, keep);
  bool cut = false;
  for (size_t i = 0; i < logs.size(); ++i) {
    if (lengths[i] == logs[i].bytes.size()) continue;
    RETURN_IF_ERROR(Cut(logs[i], lengths[i], aside, env));
    cut = true;
  }
  if (!cut) return absl::OkStatus();
  std::unique_ptr<rocksdb::Directory> directory;
  RETURN_IF_ERROR(FromRocks(env->NewDirectory(path, &directory), "open", path));
  return FromRocks(directory->Fsync(), "fsync", path);
}

}  // namespace bulwark::store
