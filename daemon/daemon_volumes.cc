// What volumes need of the daemon.
#include <memory>
#include <string>

#include "api/credentials.h"
#include "base/status.h"
#include "daemon/daemon.h"
#include "os/files.h"

namespace bulwark::daemon {

absl::Status Daemon::OpenVolumes() {
  RETURN_IF_ERROR(os::MakeDirs(config_.runtime_dir, 0755));
  local_volumes_ = std::make_unique<volumes::LocalVolumes>(config_.state_dir);
  image_volumes_ = std::make_unique<volumes::ImageVolumes>(config_.state_dir,
                                                           config_.runtime_dir);
  tmpfs_volumes_ = std::make_unique<volumes::TmpfsVolumes>(config_.runtime_dir);
  RETURN_IF_ERROR(local_volumes_->Open());
  RETURN_IF_ERROR(image_volumes_->Open());
  RETURN_IF_ERROR(tmpfs_volumes_->Open());
  volumes_ = std::make_unique<volumes::RoutedVolumes>(
      *local_volumes_, *image_volumes_, *tmpfs_volumes_);
  const std::string work_dir = config_.state_dir + "/backup-work";
  RETURN_IF_ERROR(os::RemoveTree(work_dir));
  RETURN_IF_ERROR(os::MakeDirs(work_dir, 0700));
  backups_ = std::make_unique<volumes::ResticBackups>(work_dir);
  return absl::OkStatus();
}

absl::StatusOr<SecretText> Daemon::ReadSecret(const std::string& project,
                                              const std::string& name) {
  ASSIGN_OR_RETURN(const secrets::SecretBytes value,
                   api::OpenSecret(*store_, *vault_, project, name));
  return SecretText(value.Reveal());
}

absl::Status Daemon::StartVolumes() {
  scheduler::VolumePorts ports{
      *store_,
      *volumes_,
      *backups_,
      clock_,
      entropy_,
      scheduler_->events(),
      [this](const std::string& service) {
        scheduler_->OnMountsChanged(service);
      },
      [this](const std::string& job) { scheduler_->OnJobMountsChanged(job); },
      [this](const std::string& project, const std::string& secret,
             const v1::Identity&) { return ReadSecret(project, secret); }};
  volume_controller_ = std::make_unique<scheduler::VolumeController>(ports);
  volume_actions_ =
      std::make_unique<scheduler::VolumeActions>(ports, *volume_controller_);
  return volume_controller_->Start();
}

api::VolumeActions Daemon::VolumeCalls() {
  scheduler::VolumeActions* actions = volume_actions_.get();
  api::VolumeActions calls;
  calls.snapshot = [actions](const auto& request, const auto& caller) {
    return actions->Snapshot(request, caller);
  };
  calls.delete_snapshot = [actions](const auto& request, const auto& caller) {
    return actions->DeleteSnapshot(request, caller);
  };
  calls.clone = [actions](const auto& request, const auto& caller) {
    return actions->Clone(request, caller);
  };
  calls.list_backups = [actions](const auto& request, const auto& caller) {
    return actions->ListBackups(request, caller);
  };
  calls.restore = [actions](const auto& request, const auto& caller,
                            const auto& progress) {
    return actions->Restore(request, caller, progress);
  };
  calls.backup = [actions](const auto& request, const auto& caller,
                           const auto& progress) {
    return actions->Backup(request, caller, progress);
  };
  return calls;
}

}  // namespace bulwark::daemon
