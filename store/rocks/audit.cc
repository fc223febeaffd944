#include "store/rocks/audit.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "store/rocks/log_scan.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

constexpr absl::string_view kMagic = "bw-stamp";
// Of a WriteBatch's encoding: the tag of log data, and the blob's length.
constexpr char kLogData = 3;
constexpr size_t kBlob = 8 + 3 * 8;

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

std::vector<Found> ScanLogs(std::vector<LogFile>& logs) {
  std::vector<Found> found;
  for (size_t i = 0; i < logs.size(); ++i) {
    logs[i].scan = ScanLog(logs[i].bytes, [&](const ScannedRecord& record) {
      const std::optional<Stamp> stamp = FindStamp(record.payload);
      if (!stamp.has_value()) return;
      found.push_back({*stamp, i, record.begin, record.after_damage});
    });
  }
  return found;
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
  const std::vector<Found> found = ScanLogs(logs);
  bool sound = true;
  for (size_t i = 0; i < logs.size(); ++i) {
    sound &= logs[i].scan.end != LogScan::End::kDamaged;
    // An append can be interrupted only at the very end.
    sound &= logs[i].scan.end == LogScan::End::kClean || i + 1 == logs.size();
  }
  if (sound) return absl::OkStatus();

  ASSIGN_OR_RETURN(const Tables tables, ReadTables(path, std::nullopt, env));
  ASSIGN_OR_RETURN(const size_t keep,
                   JudgeRecords(found, tables.revision.value_or(0)));
  const std::vector<uint64_t> lengths = Lengths(logs, found, keep);
  bool cut = false;
  // The newest first: whoever finds this half done finds no gap.
  for (size_t i = logs.size(); i-- > 0;) {
    if (lengths[i] == logs[i].bytes.size()) continue;
    RETURN_IF_ERROR(
        CutFile(logs[i].path, logs[i].bytes, lengths[i], aside, env));
    cut = true;
  }
  if (!cut) return absl::OkStatus();
  return SyncNames(path, env);
}

}  // namespace bulwark::store
