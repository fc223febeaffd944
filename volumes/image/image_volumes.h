// Volumes as ext4 in a file: a hard quota on any disk.
#ifndef VOLUMES_IMAGE_IMAGE_VOLUMES_H_
#define VOLUMES_IMAGE_IMAGE_VOLUMES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "volumes/id_locks.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Volume ID lies in <state_dir>/volume-images/ID/image and is mounted, through
// a loop device that clears itself, on <runtime_dir>/volumes/ID. The mount
// stays when this process ends, and is found again by its backing file.
// Containers bind the directory "data" in it. A snapshot is made under a freeze
// of the file system: an instant where files can share blocks, else as long as
// it takes to copy what is in use.
class ImageVolumes final : public Volumes {
 public:
  // Both directories are absolute and exist.
  ImageVolumes(const std::string& state_dir, const std::string& runtime_dir);

  // Makes the directories, removes work that was cut short, and thaws what a
  // killed process left frozen. Call once, before the others.
  absl::Status Open();

  // INVALID_ARGUMENT for a new volume without a size.
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
  std::string Folder(absl::string_view id) const;
  std::string ImagePath(absl::string_view id) const;
  std::string SnapshotPath(absl::string_view id, absl::string_view name) const;
  std::string StagePath(absl::string_view id, absl::string_view token) const;
  std::string MountPoint(absl::string_view id) const;
  std::string ViewPoint(absl::string_view id, absl::string_view what) const;
  VolumeInfo InfoOf(absl::string_view id) const;
  absl::Status Check(absl::string_view id) const;
  absl::Status CheckExists(absl::string_view id) const;
  // These are called with the volume's lock.
  absl::Status MakeFolder(absl::string_view id);
  absl::Status MakeNew(const VolumeSpec& spec);
  absl::Status MountContent(absl::string_view id);
  // Whether the mounted content takes all of its file now.
  absl::StatusOr<bool> Grow(absl::string_view id);
  absl::Status CopyFrozen(absl::string_view id, const std::string& to,
                          const Wanted& wanted);
  absl::Status DropStageLocked(absl::string_view id);
  absl::StatusOr<SnapshotInfo> DescribeSnapshot(absl::string_view id,
                                                const std::string& name) const;
  absl::StatusOr<std::unique_ptr<ContentView>> View(const std::string& image,
                                                    const std::string& point,
                                                    bool read_only);

  const std::string images_;
  const std::string trash_;
  const std::string mounts_;
  const std::string views_;
  std::atomic<bool> open_ = false;
  std::atomic<uint64_t> views_made_ = 0;
  IdLocks locks_;
  absl::Mutex mu_;
  // Found in order by this process: mounted, grown to their size.
  std::set<std::string> checked_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_IMAGE_IMAGE_VOLUMES_H_
