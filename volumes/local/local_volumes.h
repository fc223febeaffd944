// Volumes as plain directories.
#ifndef VOLUMES_LOCAL_LOCAL_VOLUMES_H_
#define VOLUMES_LOCAL_LOCAL_VOLUMES_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Volume ID is <state_dir>/volumes/ID. Its parents are 0711, so that only who
// knows an id gets to its data; the volume itself starts as 0755 and belongs
// to its containers from then on. A new volume is on disk when Ensure()
// returns. Delete() first renames the volume into <state_dir>/volumes/.trash,
// on disk before the data goes: a crash half-way never shows half a volume,
// and the next Open() finishes the removal.
class LocalVolumes final : public Volumes {
 public:
  // `state_dir` is absolute and exists.
  explicit LocalVolumes(std::string state_dir);

  // Makes the directories and empties the trash. Call once, before the others
  // (which answer FAILED_PRECONDITION until it succeeded).
  absl::Status Open();

  // An id is 1 to 64 characters of [a-z0-9-], else INVALID_ARGUMENT.
  // FAILED_PRECONDITION if something that is no directory holds the name.
  absl::StatusOr<VolumeInfo> Ensure(absl::string_view id) override;
  absl::Status Delete(absl::string_view id) override;
  std::vector<VolumeInfo> List() override;

 private:
  std::string Path(absl::string_view id) const;
  absl::Status EmptyTrash() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string directory_;
  const std::string trash_;
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_LOCAL_LOCAL_VOLUMES_H_
