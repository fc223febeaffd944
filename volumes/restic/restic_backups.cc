#include "volumes/restic/restic_backups.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"
#include "os/measure.h"

namespace bulwark::volumes {
namespace {

using Json = nlohmann::json;

// Its backups have one host's name whatever this host is called, so that they
// are found after a move.
constexpr char kHost[] = "bulwark";
constexpr char kOwnerTag[] = "volume=";
constexpr char kBytesTag[] = "bytes=";
// Quick commands; a repository on a dead network drive must not hold us.
constexpr absl::Duration kQuick = absl::Minutes(2);

// Of `restic backup`: a part could not be read, the rest was backed up.
constexpr int kIncomplete = 3;

// One name for each repository, however its path is written.
std::string LockName(const Repository& repository) {
  const std::string normal =
      std::filesystem::path(repository.path + "/").lexically_normal();
  return normal;
}

std::string OwnerTag(const std::string& owner) {
  return absl::StrCat(kOwnerTag, owner);
}

std::string Text(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

int64_t Number(const Json& object, const char* key) {
  if (!object.is_object()) return 0;
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<int64_t>() : 0;
}

// The first line that says what is wrong, without restic's own prefix.
std::string Complaint(absl::string_view errors) {
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    absl::ConsumePrefix(&line, "Fatal: ");
    if (absl::StrContains(line, "no parent snapshot found")) continue;
    if (!line.empty()) return std::string(line);
  }
  return "restic gives no reason";
}

// What `restic backup --json` could not read, as it says on standard error.
std::string Unread(absl::string_view errors) {
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    const Json json = Json::parse(line.begin(), line.end(), nullptr, false);
    std::string item = Text(json, "item");
    if (!item.empty()) return item;
  }
  return "a part of the volume";
}

absl::Status ToStatus(const Repository& repository, const std::string& verb,
                      const os::ProgramResult& result) {
  const std::string& errors = result.errors;
  const std::string place = absl::StrCat(verb, " repository ", repository.path);
  const std::string why =
      result.exit_code > 128
          ? absl::StrCat("restic was killed by signal ", result.exit_code - 128,
                         "; try again")
          : Complaint(errors);
  auto any = [&](std::initializer_list<absl::string_view> words) {
    return std::any_of(words.begin(), words.end(), [&](absl::string_view w) {
      return absl::StrContains(errors, w);
    });
  };
  const bool full = any({"no space left on device", "disk quota exceeded"});
  // A restore writes no more than a lock into the repository.
  if (full && verb == "restore" && !any({"unable to create lock"})) {
    return absl::ResourceExhaustedError(absl::StrCat(
        place,
        ": it does not fit into the volume, or onto the disk under that; "
        "declare a larger size, or free some space, and try again (holes of "
        "sparse files are filled)"));
  }
  if (full) {
    return absl::ResourceExhaustedError(
        absl::StrCat(place, ": no space left there (", why,
                     "); free some, or keep fewer backups, and try again"));
  }
  if (any({"wrong password"})) {
    return absl::PermissionDeniedError(absl::StrCat(
        place,
        ": the password does not open it; use the secret that it was "
        "made with"));
  }
  if (any({"Is there a repository", "unable to open config file"})) {
    return absl::NotFoundError(absl::StrCat(
        place, ": there is none (", why, "); is the disk or share mounted?"));
  }
  if (any({"already locked"})) {
    return absl::UnavailableError(absl::StrCat(
        place, ": another program has locked it (", why, "); try again later"));
  }
  if (any({"no matching ID", "invalid id", "no snapshot found"})) {
    return absl::NotFoundError(absl::StrCat(place, ": ", why));
  }
  return absl::UnknownError(absl::StrCat(place, ": ", why));
}

std::optional<BackupInfo> ParseSnapshot(const Json& json) {
  BackupInfo info;
  info.id = Text(json, "short_id");
  if (info.id.empty()) info.id = Text(json, "id").substr(0, 8);
  std::string error;
  if (info.id.empty() ||
      !absl::ParseTime(absl::RFC3339_full, Text(json, "time"),
                       &info.create_time, &error)) {
    return std::nullopt;
  }
  const auto tags = json.find("tags");
  if (tags == json.end() || !tags->is_array()) return info;
  for (const Json& tag : *tags) {
    if (!tag.is_string()) continue;
    const std::string text = tag.get<std::string>();
    absl::string_view bytes = text;
    int64_t size = 0;
    if (absl::ConsumePrefix(&bytes, kBytesTag) &&
        absl::SimpleAtoi(bytes, &size)) {
      info.size_bytes = size;
    }
  }
  return info;
}

// The command of a program of Command(): what follows its options.
std::string VerbOf(const os::Program& program) { return program.args.at(5); }

}  // namespace

os::Program ResticBackups::Command(const Repository& repository,
                                   std::vector<std::string> args) const {
  os::Program program;
  program.name = "restic";
  program.args = {"--repo", repository.path, "--no-cache", "--password-file",
                  "/proc/self/fd/3"};
  std::move(args.begin(), args.end(), std::back_inserter(program.args));
  program.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent",
                 absl::StrCat("TMPDIR=", work_dir_)};
  program.secret = repository.password;
  // It takes its locks away then.
  program.end_signal = SIGINT;
  return program;
}

absl::StatusOr<os::ProgramResult> ResticBackups::RunAny(
    const Repository& repository, const os::Program& program) const {
  if (repository.password.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(VerbOf(program), " repository ", repository.path,
                     ": its password is empty"));
  }
  absl::StatusOr<os::ProgramResult> result = os::RunProgram(program);
  if (absl::IsNotFound(result.status())) {
    return absl::FailedPreconditionError(
        "backups need the program restic: install the package restic");
  }
  return result;
}

absl::StatusOr<os::ProgramResult> ResticBackups::Run(
    const Repository& repository, const os::Program& program) const {
  ASSIGN_OR_RETURN(os::ProgramResult result, RunAny(repository, program));
  if (result.exit_code == 0) return result;
  return ToStatus(repository, VerbOf(program), result);
}

absl::Status ResticBackups::Unlock(const Repository& repository) const {
  os::Program unlock = Command(repository, {"unlock"});
  unlock.timeout = kQuick;
  return Run(repository, unlock).status();
}

absl::Status ResticBackups::Prepare(const Repository& repository) {
  os::Program look = Command(repository, {"cat", "config", "--no-lock"});
  look.timeout = kQuick;
  absl::Status found = Run(repository, look).status();
  if (!absl::IsNotFound(found)) return found;
  // Somebody else may be making it now.
  ASSIGN_OR_RETURN(const RepositoryLocks::Hold hold,
                   locks_.TakeAlone(LockName(repository), nullptr));
  found = Run(repository, look).status();
  if (!absl::IsNotFound(found)) return found;
  os::Program init = Command(repository, {"init"});
  init.timeout = kQuick;
  return Run(repository, init).status();
}

absl::StatusOr<std::vector<BackupInfo>> ResticBackups::List(
    const Repository& repository, const std::string& owner) {
  os::Program list = Command(repository, {"snapshots", "--json", "--no-lock",
                                          "--tag", OwnerTag(owner)});
  list.timeout = kQuick;
  ASSIGN_OR_RETURN(const os::ProgramResult result, Run(repository, list));
  const Json parsed = Json::parse(result.output, nullptr, false);
  std::vector<BackupInfo> backups;
  if (parsed.is_array()) {
    for (const Json& json : parsed) {
      if (std::optional<BackupInfo> info = ParseSnapshot(json)) {
        backups.push_back(*std::move(info));
      }
    }
  } else if (!parsed.is_null()) {
    return absl::DataLossError(absl::StrCat("list repository ", repository.path,
                                            ": restic's answer is no list"));
  }
  std::stable_sort(backups.begin(), backups.end(),
                   [](const BackupInfo& a, const BackupInfo& b) {
                     return a.create_time > b.create_time;
                   });
  return backups;
}

absl::StatusOr<BackupInfo> ResticBackups::Backup(
    const Repository& repository, const std::string& parent,
    const std::string& owner, int keep,
    const std::function<void(const BackupProgress&)>& on_progress,
    const Wanted& wanted) {
  std::optional<RepositoryLocks::Hold> hold;
  {
    ASSIGN_OR_RETURN(RepositoryLocks::Hold shared,
                     locks_.Share(LockName(repository), wanted));
    hold.emplace(std::move(shared));
  }
  RETURN_IF_ERROR(Unlock(repository));
  ASSIGN_OR_RETURN(const std::vector<BackupInfo> before,
                   List(repository, owner));
  ASSIGN_OR_RETURN(const os::TreeUsage size,
                   os::MeasureTree(absl::StrCat(parent, "/", kContentName)));
  std::vector<std::string> args = {
      "backup", "--json",        "--host", kHost,
      "--tag",  OwnerTag(owner), "--tag",  absl::StrCat(kBytesTag, size.bytes)};
  if (!before.empty()) {
    // What has not changed since is not read again.
    args.push_back("--parent");
    args.push_back(before.front().id);
  }
  args.push_back(kContentName);
  os::Program backup = Command(repository, std::move(args));
  backup.directory = parent;
  backup.wanted = wanted;
  std::string id;
  backup.on_line = [&](absl::string_view line) {
    const Json json = Json::parse(line.begin(), line.end(), nullptr, false);
    const std::string type = Text(json, "message_type");
    if (type == "summary") id = Text(json, "snapshot_id");
    if (type == "status" && on_progress) {
      on_progress({Number(json, "bytes_done"), Number(json, "total_bytes")});
    }
  };
  ASSIGN_OR_RETURN(const os::ProgramResult result, RunAny(repository, backup));
  hold.reset();
  if (result.exit_code == kIncomplete && !id.empty()) {
    return Withdraw(repository, id, result.errors, wanted);
  }
  if (result.exit_code != 0) return ToStatus(repository, "backup", result);
  if (keep > 0) {
    ASSIGN_OR_RETURN(const RepositoryLocks::Hold alone,
                     locks_.TakeAlone(LockName(repository), wanted));
    os::Program forget =
        Command(repository, {"forget", "--tag", OwnerTag(owner), "--group-by",
                             "", "--keep-last", absl::StrCat(keep), "--prune"});
    forget.wanted = wanted;
    RETURN_IF_ERROR_CTX(
        Run(repository, forget).status(),
        absl::StrCat("backup ", id, " is made, but older ones stay"));
  }
  ASSIGN_OR_RETURN(const std::vector<BackupInfo> after,
                   List(repository, owner));
  for (const BackupInfo& info : after) {
    if (info.id == id.substr(0, info.id.size())) return info;
  }
  return absl::DataLossError(absl::StrCat("backup to repository ",
                                          repository.path, ": backup ", id,
                                          " is not there afterwards"));
}

absl::Status ResticBackups::Withdraw(const Repository& repository,
                                     const std::string& id,
                                     const std::string& errors,
                                     const Wanted& wanted) {
  const std::string why = absl::StrCat("backup to repository ", repository.path,
                                       ": cannot read ", Unread(errors));
  const absl::StatusOr<RepositoryLocks::Hold> alone =
      locks_.TakeAlone(LockName(repository), wanted);
  absl::Status removed = alone.status();
  if (removed.ok()) {
    os::Program forget = Command(repository, {"forget", id});
    forget.timeout = kQuick;
    removed = Run(repository, forget).status();
  }
  if (removed.ok()) return absl::DataLossError(why);
  return absl::DataLossError(absl::StrCat(
      why, "; backup ", id, " lacks that and stays (", removed.message(),
      "): remove it with `restic forget ", id, "`"));
}

absl::Status ResticBackups::Restore(const Repository& repository,
                                    const std::string& owner,
                                    const std::string& id,
                                    const std::string& parent,
                                    const Wanted& wanted) {
  ASSIGN_OR_RETURN(const RepositoryLocks::Hold hold,
                   locks_.Share(LockName(repository), wanted));
  RETURN_IF_ERROR(Unlock(repository));
  ASSIGN_OR_RETURN(const std::vector<BackupInfo> backups,
                   List(repository, owner));
  const auto found =
      std::find_if(backups.begin(), backups.end(), [&](const BackupInfo& b) {
        return id.empty() || b.id == id.substr(0, b.id.size());
      });
  if (found == backups.end()) {
    return absl::NotFoundError(absl::StrCat(
        "restore from repository ", repository.path, ": it has no backup ",
        id.empty() ? "" : absl::StrCat(id, " "), "of volume ", owner));
  }
  os::Program restore =
      Command(repository, {"restore", found->id, "--target", parent});
  restore.wanted = wanted;
  RETURN_IF_ERROR(Run(repository, restore).status());
  return os::SyncFs(parent);
}

}  // namespace bulwark::volumes
