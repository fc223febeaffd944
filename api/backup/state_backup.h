// Backup and restore of the whole control state: docs/backup.md.
#ifndef API_BACKUP_STATE_BACKUP_H_
#define API_BACKUP_STATE_BACKUP_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/backup/restore_plan.h"
#include "api/caller.h"
#include "api/spec_writer.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/api.pb.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

// Thread-safe. Calls block for the disk, and for the derivation of a key.
class StateBackup {
 public:
  struct Environment {
    store::MetadataStore& store;
    SpecWriter& writer;
    // Opens what clients seal; null: this daemon has none, and refuses.
    secrets::Vault* vault;
    Clock& clock;
    Entropy& entropy;
  };

  // What `environment` refers to must outlive this object.
  StateBackup(const Environment& environment, std::string version)
      : env_(environment), version_(std::move(version)) {}

  // Sends the archive of one consistent state.
  //   FAILED_PRECONDITION  the daemon is sealed
  //   INVALID_ARGUMENT     the password is empty or not sealed to this node
  absl::Status Write(const v1::BackupStateRequest& request,
                     absl::FunctionRef<bool(std::string bytes)> send);

  // Reads the archive's parts until `next` says false, and then makes
  // everything as it was in it, in one write. Errors of ArchiveReader,
  // ReadBackup() and PlanRestore(): nothing has changed.
  absl::StatusOr<v1::RestoreStateResponse> Restore(
      const v1::RestoreStateOptions& options, const Caller& caller,
      absl::FunctionRef<bool(std::string& bytes)> next);

 private:
  absl::StatusOr<secrets::SecretBytes> OpenPassword(absl::string_view action,
                                                    const std::string& sealed);
  absl::StatusOr<RestorePlan> Plan(const Backup& backup,
                                   const RestoreOptions& options,
                                   const Caller& caller,
                                   const StoredObjects& stored);

  const Environment env_;
  const std::string version_;
};

}  // namespace bulwark::api

#endif  // API_BACKUP_STATE_BACKUP_H_
