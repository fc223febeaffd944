#include "store/rocks/audit_files.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"
#include "store/rocks/database.h"
#include "store/rocks/rows.h"

namespace bulwark::store {
namespace {

// Not every file system has links.
absl::Status LinkOrCopy(const std::string& from, const std::string& to,
                        rocksdb::Env* env) {
  if (env->LinkFile(from, to).ok()) return absl::OkStatus();
  std::string bytes;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(env, from, &bytes), "read", from));
  return FromRocks(rocksdb::WriteStringToFile(env, bytes, to), "write", to);
}

absl::StatusOr<Tables> ReadCopy(const std::string& copy, rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  options.max_file_opening_threads = 1;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened =
      rocksdb::DB::OpenForReadOnly(options, copy, &raw);
  const std::unique_ptr<rocksdb::DB> db(raw);
  RETURN_IF_ERROR(FromRocks(opened, "read database", copy));
  RETURN_IF_ERROR(FromRocks(db->VerifyChecksum(), "verify checksums of", copy));
  Tables tables;
  std::vector<rocksdb::LiveFileMetaData> files;
  db->GetLiveFilesMetaData(&files);
  for (const rocksdb::LiveFileMetaData& file : files) {
    tables.files.insert(std::string(absl::StripPrefix(file.name, "/")));
  }
  std::string bytes;
  const rocksdb::Status got = db->Get({}, std::string(rows::kRevision), &bytes);
  if (got.IsNotFound()) return tables;
  RETURN_IF_ERROR(FromRocks(got, "read database", copy));
  ASSIGN_OR_RETURN(tables.revision, rows::DecodeNumber(rows::kRevision, bytes));
  return tables;
}

}  // namespace

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

absl::StatusOr<std::string> CurrentManifest(const std::string& path,
                                            rocksdb::Env* env) {
  const std::string current = path + "/CURRENT";
  RETURN_IF_ERROR(FromRocks(env->FileExists(current), "look for", current));
  std::string name;
  RETURN_IF_ERROR(FromRocks(rocksdb::ReadFileToString(env, current, &name),
                            "read", current));
  return std::string(absl::StripAsciiWhitespace(name));
}

// A read-only database of links to the tables has no logs to replay.
absl::StatusOr<Tables> ReadTables(const std::string& path,
                                  std::optional<absl::string_view> manifest,
                                  rocksdb::Env* env) {
  const std::string copy = path + ".audit";
  std::error_code ignored;
  std::filesystem::remove_all(copy, ignored);  // left by a crash
  RETURN_IF_ERROR(FromRocks(env->CreateDir(copy), "create", copy));
  const absl::Cleanup remove = [&] {
    std::filesystem::remove_all(copy, ignored);
  };
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(path, &names), "list", path));
  for (const std::string& name : names) {
    const bool is_manifest = absl::StartsWith(name, "MANIFEST-");
    if (name != "CURRENT" && !absl::EndsWith(name, ".sst") &&
        (!is_manifest || manifest.has_value())) {
      continue;
    }
    RETURN_IF_ERROR(LinkOrCopy(absl::StrCat(path, "/", name),
                               absl::StrCat(copy, "/", name), env));
  }
  if (manifest.has_value()) {
    ASSIGN_OR_RETURN(const std::string name, CurrentManifest(path, env));
    RETURN_IF_ERROR(
        FromRocks(rocksdb::WriteStringToFile(env, ToSlice(*manifest),
                                             absl::StrCat(copy, "/", name)),
                  "write", copy));
  }
  absl::StatusOr<Tables> tables = ReadCopy(copy, env);
  if (tables.ok()) return tables;
  // It has the names of the copy, which is gone.
  return absl::Status(
      tables.status().code(),
      absl::StrReplaceAll(tables.status().message(), {{copy, path}}));
}

absl::Status CutFile(const std::string& path, absl::string_view bytes,
                     uint64_t length, const std::string& aside,
                     rocksdb::Env* env) {
  const auto write = [env](absl::string_view what, const std::string& where) {
    return FromRocks(
        rocksdb::WriteStringToFile(env, ToSlice(what), where, true), "write",
        where);
  };
  const std::string name = std::filesystem::path(path).filename().string();
  const std::string copy = absl::StrCat(aside, "/", name);
  const std::string temporary = path + ".cut";
  RETURN_IF_ERROR(FromRocks(env->CreateDirIfMissing(aside), "create", aside));
  RETURN_IF_ERROR(write(bytes, copy));
  RETURN_IF_ERROR(SyncNames(aside, env));
  RETURN_IF_ERROR(
      SyncNames(std::filesystem::path(aside).parent_path().string(), env));
  RETURN_IF_ERROR(write(bytes.substr(0, length), temporary));
  RETURN_IF_ERROR(FromRocks(env->RenameFile(temporary, path), "write", path));
  LOG_WARN(
      "cut the unsynced end of a file of the store, after a power failure",
      {{"file", path}, {"bytes", bytes.size() - length}, {"original", copy}});
  return absl::OkStatus();
}

absl::Status SyncNames(const std::string& path, rocksdb::Env* env) {
  std::unique_ptr<rocksdb::Directory> directory;
  RETURN_IF_ERROR(FromRocks(env->NewDirectory(path, &directory), "open", path));
  return FromRocks(directory->Fsync(), "fsync", path);
}

}  // namespace bulwark::store
