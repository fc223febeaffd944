// Volumes in memory.
#ifndef VOLUMES_FAKE_FAKE_VOLUMES_H_
#define VOLUMES_FAKE_FAKE_VOLUMES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "volumes/volume.h"

namespace bulwark::volumes {

// Paths do not exist. Ids follow the real rules.
class FakeVolumes final : public Volumes {
 public:
  // The next `count` changes fail with `status` and change nothing.
  void FailNext(absl::Status status, int count = 1);
  // How often a volume of this id was made: 2 after it was deleted, with its
  // data, and made again.
  int TimesMade(absl::string_view id);

  absl::StatusOr<VolumeInfo> Ensure(absl::string_view id) override;
  absl::Status Delete(absl::string_view id) override;
  std::vector<VolumeInfo> List() override;

 private:
  absl::Status Begin(absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::set<std::string, std::less<>> ids_ ABSL_GUARDED_BY(mu_);
  std::multiset<std::string, std::less<>> made_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_FAKE_FAKE_VOLUMES_H_
