// Volumes as plain directories.
#ifndef VOLUMES_LOCAL_LOCAL_VOLUMES_H_
#define VOLUMES_LOCAL_LOCAL_VOLUMES_H_

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

// Volume ID is <state_dir>/volumes/ID. Its parents are 0711, so that only who
// knows an id gets to its data; the volume itself starts as 0755 and belongs
// to its containers from then on. What is removed is first renamed into
// .trash, durably: a crash half-way never shows half of it, and the next Open()
// finishes the removal. Snapshots and stages share blocks with the content
// where the file system can (reflinks), else they are copies. There is no
// quota.
class LocalVolumes final : public Volumes {
 public:
  // `state_dir` is absolute and exists.
  explicit LocalVolumes(std::string state_dir);

  // Makes the directories and empties the trash. Call once, before the others
  // (which answer FAILED_PRECONDITION until it succeeded).
  absl::Status Open();

  // FAILED_PRECONDITION if something that is no directory holds the name.
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
  std::string SnapshotsOf(absl::string_view id) const;
  std::string SnapshotPath(absl::string_view id, absl::string_view name) const;
  // Held while snapshots of the volume are read without its lock, or removed;
  // taken before any volume's lock.
  static std::string SnapshotsLock(absl::string_view id);
  std::string StagePath(absl::string_view id, absl::string_view token) const;
  VolumeInfo InfoOf(absl::string_view id) const;
  absl::Status Check(absl::string_view id) const;
  absl::Status CheckExists(absl::string_view id) const;
  absl::Status Remove(const std::string& path);
  absl::Status CleanTrash();
  absl::Status DropStageLocked(absl::string_view id);
  // A new directory below .staging, with "data" in it: what is to be named
  // durably when it is complete.
  absl::StatusOr<std::string> NewWork(absl::string_view id);
  absl::StatusOr<SnapshotInfo> DescribeSnapshot(absl::string_view id,
                                                const std::string& name) const;

  const std::string directory_;
  const std::string trash_;
  const std::string snapshots_;
  const std::string staging_;
  std::atomic<bool> open_ = false;
  IdLocks locks_;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_LOCAL_LOCAL_VOLUMES_H_
