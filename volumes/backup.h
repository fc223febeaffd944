// Port of backups: copies of contents in a repository elsewhere.
#ifndef VOLUMES_BACKUP_H_
#define VOLUMES_BACKUP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret_text.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Where backups lie, and what opens it. The password is a secret: it is never
// printed, logged, or given away but through memory, and no copy of it is left.
struct Repository {
  std::string path;  // absolute, of the host
  SecretText password;
};

struct BackupInfo {
  std::string id;
  absl::Time create_time;
  int64_t size_bytes = 0;
};

struct BackupProgress {
  int64_t current_bytes = 0;
  int64_t total_bytes = 0;
};

// Thread-safe; calls block for the transfer. A call that fails or is cancelled
// leaves no lock behind and no half backup that is listed.
//   INVALID_ARGUMENT    the password is empty
//   NOT_FOUND           there is no such repository or backup
//   PERMISSION_DENIED   the password does not open the repository
//   RESOURCE_EXHAUSTED  no space at the repository
//   UNAVAILABLE         somebody else has locked the repository
class Backups {
 public:
  virtual ~Backups() = default;

  // Makes the repository; OK if it exists and the password opens it.
  virtual absl::Status Prepare(const Repository& repository) = 0;

  // Copies the content in `parent`; `owner` names what it is of. Of the owner's
  // backups the newest `keep` are kept (0: all).
  virtual absl::StatusOr<BackupInfo> Backup(
      const Repository& repository, const std::string& parent,
      const std::string& owner, int keep,
      const std::function<void(const BackupProgress&)>& on_progress,
      const Wanted& wanted) = 0;

  // The owner's, newest first.
  virtual absl::StatusOr<std::vector<BackupInfo>> List(
      const Repository& repository, const std::string& owner) = 0;

  // Fills the content in `parent`, which is empty, durably, from one of the
  // owner's backups, "": the newest.
  virtual absl::Status Restore(const Repository& repository,
                               const std::string& owner, const std::string& id,
                               const std::string& parent,
                               const Wanted& wanted) = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_BACKUP_H_
