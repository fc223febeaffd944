// Backups through restic: encrypted, deduplicated, each one complete.
#ifndef VOLUMES_RESTIC_RESTIC_BACKUPS_H_
#define VOLUMES_RESTIC_RESTIC_BACKUPS_H_

#include <string>
#include <vector>

#include "os/program.h"
#include "volumes/backup.h"
#include "volumes/restic/repository_locks.h"

namespace bulwark::volumes {

// Runs the program restic (0.14 and later), which gets the password through a
// pipe. Its own locks in the repository are taken away when it is ended, and
// those of a killed one before the next run. Calls about one repository wait
// for each other where restic's locks would refuse.
class ResticBackups final : public Backups {
 public:
  // `work_dir`, which exists, takes its temporary files.
  explicit ResticBackups(std::string work_dir)
      : work_dir_(std::move(work_dir)) {}

  absl::Status Prepare(const Repository& repository) override;
  absl::StatusOr<BackupInfo> Backup(
      const Repository& repository, const std::string& parent,
      const std::string& owner, int keep,
      const std::function<void(const BackupProgress&)>& on_progress,
      const Wanted& wanted) override;
  absl::StatusOr<std::vector<BackupInfo>> List(
      const Repository& repository, const std::string& owner) override;
  absl::Status Restore(const Repository& repository, const std::string& owner,
                       const std::string& id, const std::string& parent,
                       const Wanted& wanted) override;

 private:
  os::Program Command(const Repository& repository,
                      std::vector<std::string> args) const;
  // OK only if it exits with 0.
  absl::StatusOr<os::ProgramResult> Run(const Repository& repository,
                                        const os::Program& program) const;
  // Whatever it exits with.
  absl::StatusOr<os::ProgramResult> RunAny(const Repository& repository,
                                           const os::Program& program) const;
  // Removes a backup that lacks what could not be read, and returns why it was
  // none.
  absl::Status Withdraw(const Repository& repository, const std::string& id,
                        const std::string& errors, const Wanted& wanted);
  // Takes away locks whose owner is dead.
  absl::Status Unlock(const Repository& repository) const;

  const std::string work_dir_;
  RepositoryLocks locks_;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_RESTIC_RESTIC_BACKUPS_H_
