#include "api/backup/state_backup.h"

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/backup/archive.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/keyring_rows.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

using record::v1::BackupEntry;

constexpr char kKeyringRow[] = "keyring";

secrets::SecretBytes ToSecret(absl::string_view text) {
  secrets::SecretBytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

bool HasKeyring(const store::Listing& listing) {
  for (const store::Record& record : listing.records) {
    if (record.key.kind == kKeyringRow) return true;
  }
  return false;
}

// What to do about an archive that cannot be read.
absl::Status Explain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
      return WithRemedy(status,
                        "give the password that the backup was made with; "
                        "without it nobody can read the archive");
    case absl::StatusCode::kDataLoss:
      return WithRemedy(status,
                        "take another copy of the archive, or an older one; "
                        "nothing was changed here");
    case absl::StatusCode::kInvalidArgument:
      return WithRemedy(status,
                        "give a file that `ctl backup` wrote, of this version "
                        "of bulwarkd or an older one");
    default:
      return status;
  }
}

// All of the archive, with the head read and the rows complete.
absl::StatusOr<Backup> ReadArchive(
    ArchiveReader& archive, absl::FunctionRef<bool(std::string& bytes)> next) {
  for (std::string bytes; next(bytes);) RETURN_IF_ERROR(archive.Feed(bytes));
  RETURN_IF_ERROR(archive.Finish());
  return ReadBackup(archive.entries());
}

// For the audit log.
std::string DetailOf(const RestorePlan& plan) {
  std::map<v1::ApplyResult::Action, int> counts;
  for (const v1::ApplyResult& result : plan.results) ++counts[result.action()];
  return absl::StrCat("objects ", plan.objects, ": created ",
                      counts[v1::ApplyResult::CREATED], ", changed ",
                      counts[v1::ApplyResult::CONFIGURED], ", deleted ",
                      counts[v1::ApplyResult::DELETED]);
}

}  // namespace

absl::StatusOr<secrets::SecretBytes> StateBackup::OpenPassword(
    absl::string_view action, const std::string& sealed) {
  if (env_.vault == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(action, ": this daemon has no keys to open it with"));
  }
  if (sealed.empty()) {
    return WithRemedy(
        absl::InvalidArgumentError(absl::StrCat(action, ": no password")),
        "give one that is sealed to the node's public key, as ctl does");
  }
  const secrets::Binding binding{"password", "", "backup", 0};
  absl::StatusOr<secrets::AcceptedValue> accepted =
      env_.vault->Accept(binding, sealed);
  if (!accepted.ok()) return Annotate(accepted.status(), action);
  return env_.vault->Open(binding, accepted->rows);
}

absl::Status StateBackup::Write(
    const v1::BackupStateRequest& request,
    absl::FunctionRef<bool(std::string bytes)> send) {
  ASSIGN_OR_RETURN(const secrets::SecretBytes password,
                   OpenPassword("back up", request.sealed_password()));
  ASSIGN_OR_RETURN(const store::Listing listing, env_.store.List({}));
  ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveWriter> archive,
                   ArchiveWriter::Start(password.Reveal(), send));
  record::v1::BackupHead head;
  *head.mutable_time() = ToTimestamp(env_.clock.Now());
  head.set_version(version_);
  head.set_instance(env_.store.InstanceId());
  head.set_revision(static_cast<int64_t>(listing.revision));
  if (HasKeyring(listing)) {
    ASSIGN_OR_RETURN(
        *head.mutable_keyring(),
        env_.vault->ExportKeyring(ToSecret(archive->WrappingKey().Reveal())));
  }
  for (const BackupEntry& entry : EntriesOf(listing, std::move(head))) {
    RETURN_IF_ERROR(archive->Add(entry, send));
  }
  return archive->Finish(send);
}

absl::StatusOr<RestorePlan> StateBackup::Plan(const Backup& backup,
                                              const RestoreOptions& options,
                                              const Caller& caller,
                                              const StoredObjects& stored) {
  // Not those of `stored`, which are of another revision, and not all kinds.
  ASSIGN_OR_RETURN(const store::Listing here, env_.store.List({}));
  const NormalizeReference normalize = [](absl::string_view reference) {
    return std::string(reference);
  };
  const PlanContext context{stored, normalize, caller, env_.clock.Now(),
                            env_.entropy};
  return PlanRestore(backup, here, options, context);
}

absl::StatusOr<v1::RestoreStateResponse> StateBackup::Restore(
    const v1::RestoreStateOptions& given, const Caller& caller,
    absl::FunctionRef<bool(std::string& bytes)> next) {
  ASSIGN_OR_RETURN(const secrets::SecretBytes password,
                   OpenPassword("restore", given.sealed_password()));
  ArchiveReader archive{SecretText(password.Reveal())};
  const absl::StatusOr<Backup> read = ReadArchive(archive, next);
  if (!read.ok()) return Explain(read.status());
  const Backup& backup = *read;
  RestoreOptions options;
  options.replace = given.replace();
  if (!backup.head.keyring().empty()) {
    ASSIGN_OR_RETURN(
        options.keyring,
        env_.vault->ImportKeyring(backup.head.keyring(),
                                  ToSecret(archive.WrappingKey().Reveal())));
  }
  v1::RestoreStateResponse response;
  *response.mutable_backup_time() = backup.head.time();
  const auto plan =
      [&](const StoredObjects& stored) -> absl::StatusOr<store::Batch> {
    ASSIGN_OR_RETURN(RestorePlan made, Plan(backup, options, caller, stored));
    response.set_objects(made.objects);
    response.mutable_results()->Assign(made.results.begin(),
                                       made.results.end());
    caller.record()->record().set_detail(DetailOf(made));
    if (given.validate_only()) return store::Batch();
    return std::move(made.batch);
  };
  // Before anybody encrypts under the keys of before. Also after an error: what
  // the disk has is what counts.
  absl::Status loaded;
  const auto load = [&] {
    if (!options.keyring.has_value()) return;
    loaded = LoadKeyring(env_.store, *env_.vault);
  };
  RETURN_IF_ERROR(env_.writer.Change(caller, plan, load).status());
  if (!loaded.ok()) {
    return WithRemedy(
        absl::InternalError(absl::StrCat(
            "restore: everything is restored, but its keyring could not be "
            "loaded: ",
            loaded.message())),
        "restart bulwarkd before any secret is changed");
  }
  return response;
}

}  // namespace bulwark::api
