// Volumes in memory.
#ifndef VOLUMES_TMPFS_TMPFS_VOLUMES_H_
#define VOLUMES_TMPFS_TMPFS_VOLUMES_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "volumes/id_locks.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Volume ID is a tmpfs on <runtime_dir>/volumes/ID. It outlives services and
// this process, not the host's running: after a reboot it is empty. It can
// shrink as far as its content allows. No snapshots, clones and stages:
// FAILED_PRECONDITION.
class TmpfsVolumes final : public Volumes {
 public:
  // `runtime_dir` is absolute and exists.
  explicit TmpfsVolumes(const std::string& runtime_dir);

  absl::Status Open();

  absl::StatusOr<VolumeInfo> Ensure(const VolumeSpec& spec) override;
  absl::Status Delete(absl::string_view id) override;
  std::vector<VolumeInfo> List() override;
  absl::StatusOr<Usage> GetUsage(absl::string_view id) override;
  absl::StatusOr<SnapshotInfo> Snapshot(absl::string_view id,
                                        absl::string_view name,
                                        const Wanted& wanted) override;
  absl::Status DeleteSnapshot(absl::string_view id,
                              absl::string_view name) override;
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(
      absl::string_view id) override;
  absl::StatusOr<std::unique_ptr<ContentView>> OpenSnapshot(
      absl::string_view id, absl::string_view name) override;
  absl::StatusOr<VolumeInfo> Clone(absl::string_view source,
                                   absl::string_view snapshot,
                                   const VolumeSpec& target,
                                   const Wanted& wanted) override;
  absl::StatusOr<std::unique_ptr<ContentView>> Stage(
      absl::string_view id, absl::string_view token, absl::string_view snapshot,
      const Wanted& wanted) override;
  absl::Status Swap(absl::string_view id, absl::string_view token) override;
  absl::Status DropStage(absl::string_view id) override;

 private:
  std::string Path(absl::string_view id) const;
  absl::Status Check(absl::string_view id) const;
  absl::StatusOr<bool> IsMounted(absl::string_view id) const;
  // Why it has no snapshots; or why it is no volume.
  absl::Status Refuse(absl::string_view id, const char* verb) const;

  const std::string mounts_;
  std::atomic<bool> open_ = false;
  IdLocks locks_;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_TMPFS_TMPFS_VOLUMES_H_
