// The drivers behind one port.
#ifndef VOLUMES_ROUTER_ROUTED_VOLUMES_H_
#define VOLUMES_ROUTER_ROUTED_VOLUMES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Hands each call to the driver that has the volume; Ensure() to the one that
// the spec names. A clone has the driver of its source.
class RoutedVolumes final : public Volumes {
 public:
  // Open already; they must outlive this object.
  RoutedVolumes(Volumes& local, Volumes& image, Volumes& tmpfs)
      : local_(local), image_(image), tmpfs_(tmpfs) {}

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
  Volumes& Of(Driver driver) const;
  // The local driver, if none has it: its errors are as good as any.
  Volumes& Owner(absl::string_view id);

  Volumes& local_;
  Volumes& image_;
  Volumes& tmpfs_;
  absl::Mutex mu_;
  std::map<std::string, Driver, std::less<>> known_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_ROUTER_ROUTED_VOLUMES_H_
