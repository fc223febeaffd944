// The calls of the service Volumes.
#include "ctl/client.h"
#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::StatusOr<v1::SnapshotVolumeResponse> Client::SnapshotVolume(
    const v1::SnapshotVolumeRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->volumes, &v1::Volumes::Stub::Snapshot, request,
                     deadline);
}

absl::StatusOr<v1::DeleteSnapshotResponse> Client::DeleteSnapshot(
    const v1::DeleteSnapshotRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->volumes, &v1::Volumes::Stub::DeleteSnapshot,
                     request, deadline);
}

absl::StatusOr<v1::CloneVolumeResponse> Client::CloneVolume(
    const v1::CloneVolumeRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->volumes, &v1::Volumes::Stub::Clone, request,
                     deadline);
}

absl::StatusOr<v1::ListBackupsResponse> Client::ListBackups(
    const v1::ListBackupsRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->volumes, &v1::Volumes::Stub::ListBackups, request,
                     deadline);
}

absl::Status Client::RestoreVolume(const v1::RestoreVolumeRequest& request,
                                   const OnVolumeProgress& on_progress) {
  Stream stream(*impl_);
  auto reader = impl_->volumes->Restore(&stream.context, request);
  v1::VolumeProgress progress;
  while (reader->Read(&progress)) on_progress(progress);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::BackupVolume(const v1::BackupVolumeRequest& request,
                                  const OnVolumeProgress& on_progress) {
  Stream stream(*impl_);
  auto reader = impl_->volumes->Backup(&stream.context, request);
  v1::VolumeProgress progress;
  while (reader->Read(&progress)) on_progress(progress);
  return impl_->ToStatus(reader->Finish());
}

}  // namespace bulwark::ctl
