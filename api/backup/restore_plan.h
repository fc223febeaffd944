// What a backup of the control state holds, and what putting it back comes to.
// Pure. See docs/backup.md.
#ifndef API_BACKUP_RESTORE_PLAN_H_
#define API_BACKUP_RESTORE_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "api/plan.h"
#include "proto/bulwark/record/v1/backup.pb.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/batch.h"
#include "store/store.h"

namespace bulwark::api {

// What is done with the rows of a kind.
enum class BackupUse {
  kDeclared,  // objects that clients declare
  kHistory,   // goes with the object that it belongs to, where that is new
  kVerbatim,  // all rows of the kind are replaced
  kLeftOut,   // of this host and this moment; not in a backup
};
BackupUse UseOf(absl::string_view kind);

// What a backup of `listing`, a whole store, holds, in order: head, rows, end.
std::vector<record::v1::BackupEntry> EntriesOf(const store::Listing& listing,
                                               record::v1::BackupHead head);

struct Backup {
  record::v1::BackupHead head;
  std::map<store::Key, std::string> rows;
};

// DATA_LOSS if the entries are not what EntriesOf() can have made.
absl::StatusOr<Backup> ReadBackup(
    const std::vector<record::v1::BackupEntry>& entries);

struct RestoreOptions {
  // Also if objects are declared here.
  bool replace = false;
  // The row of the keyring that opens the backup's values here; none: the
  // backup has no keyring.
  std::optional<std::string> keyring;
};

struct RestorePlan {
  store::Batch batch;
  int64_t objects = 0;  // that will be declared because of it
  // What becomes of each object that is in the backup or here, named only, in
  // the order of their keys. Those on their way out already are left out.
  std::vector<v1::ApplyResult> results;
};

// One write that makes what is declared what it was in the backup. What is
// here and not in the backup is deleted, but for volumes, since that would be
// their data's end. Objects that are here stay themselves, with another spec:
// what runs is changed by the rules of a rollout. `context.stored` is not read.
//   FAILED_PRECONDITION  objects are declared here by somebody, and `replace`
//                        is not set; or one that is in the backup is being
//                        deleted
absl::StatusOr<RestorePlan> PlanRestore(const Backup& backup,
                                        const store::Listing& here,
                                        const RestoreOptions& options,
                                        const PlanContext& context);

}  // namespace bulwark::api

#endif  // API_BACKUP_RESTORE_PLAN_H_
