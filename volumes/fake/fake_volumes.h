// Volumes in memory.
#ifndef VOLUMES_FAKE_FAKE_VOLUMES_H_
#define VOLUMES_FAKE_FAKE_VOLUMES_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Paths do not exist; a content is one string. Ids, names and states follow the
// real rules.
class FakeVolumes final : public Volumes {
 public:
  // The next `count` changes fail with `status` and change nothing.
  void FailNext(absl::Status status, int count = 1);
  // How often a volume of this id was made: 2 after it was deleted, with its
  // data, and made again.
  int TimesMade(absl::string_view id);
  // The content, as containers would write it. Dies without the volume.
  void Write(absl::string_view id, std::string content);
  std::string Read(absl::string_view id);
  // Fills the stage that began empty.
  void FillStage(absl::string_view id, std::string content);
  // What GetUsage() says of it.
  void SetUsage(absl::string_view id, Usage usage);
  // Or that it cannot be measured.
  void FailUsage(absl::string_view id, absl::Status why);
  std::optional<VolumeSpec> SpecOf(absl::string_view id);
  bool HasStage(absl::string_view id);

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
  struct Kept {
    SnapshotInfo info;
    std::string content;
  };
  struct Staged {
    std::string token;
    std::string content;
    bool swapped = false;
  };
  struct Volume {
    VolumeSpec spec;
    std::string content;
    std::vector<Kept> snapshots;
    std::optional<Staged> stage;
    Usage usage;
    absl::Status usage_error;
  };

  absl::Status Begin(absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Volume*> Find(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Also refuses what has no snapshots.
  absl::StatusOr<Volume*> FindDurable(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static absl::StatusOr<Kept*> FindSnapshot(Volume& volume,
                                            absl::string_view name);
  static VolumeInfo InfoOf(const VolumeSpec& spec);

  absl::Mutex mu_;
  std::map<std::string, Volume, std::less<>> volumes_ ABSL_GUARDED_BY(mu_);
  std::multiset<std::string, std::less<>> made_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t snapshots_made_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_FAKE_FAKE_VOLUMES_H_
