// What people do with volumes beside declaring them.
#ifndef SCHEDULER_VOLUMES_ACTIONS_H_
#define SCHEDULER_VOLUMES_ACTIONS_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/bulwark/v1/api.pb.h"
#include "scheduler/volumes/controller.h"

namespace bulwark::scheduler {

// The calls of the service Volumes, with its errors: INVALID_ARGUMENT for what
// cannot be, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION while something
// else is done to the volume. A progress function says false when nobody waits
// any more: a restore goes on then, a backup ends. Thread-safe; calls block for
// the work.
class VolumeActions {
 public:
  using Progress = VolumeController::Progress;

  // `controller` and what `ports` holds must outlive this object.
  VolumeActions(VolumePorts ports, VolumeController& controller)
      : ports_(std::move(ports)), controller_(controller) {}

  absl::StatusOr<v1::SnapshotVolumeResponse> Snapshot(
      const v1::SnapshotVolumeRequest& request, const v1::Identity& caller);
  absl::StatusOr<v1::DeleteSnapshotResponse> DeleteSnapshot(
      const v1::DeleteSnapshotRequest& request, const v1::Identity& caller);
  absl::StatusOr<v1::CloneVolumeResponse> Clone(
      const v1::CloneVolumeRequest& request, const v1::Identity& caller);
  absl::Status Restore(const v1::RestoreVolumeRequest& request,
                       const v1::Identity& caller, const Progress& progress);
  absl::Status Backup(const v1::BackupVolumeRequest& request,
                      const v1::Identity& caller, const Progress& progress);
  absl::StatusOr<v1::ListBackupsResponse> ListBackups(
      const v1::ListBackupsRequest& request, const v1::Identity& caller);

 private:
  // NOT_FOUND; FAILED_PRECONDITION if it is being deleted.
  absl::StatusOr<v1::Object> Find(const std::string& project,
                                  const std::string& name);
  absl::StatusOr<volumes::Repository> Open(const std::string& project,
                                           const v1::BackupRepository& given,
                                           const v1::Identity& caller);
  // Makes a repository that was never used before.
  absl::Status Prepare(const v1::Volume& volume,
                       const volumes::Repository& repository);
  absl::StatusOr<volumes::BackupInfo> RunBackup(
      const v1::Volume& volume, const volumes::Repository& repository, int keep,
      const Progress& progress);

  const VolumePorts ports_;
  VolumeController& controller_;
  absl::Mutex mu_;
  // Uids of volumes that are being backed up, and keys of snapshots that are
  // being made.
  std::set<std::string> busy_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_ACTIONS_H_
