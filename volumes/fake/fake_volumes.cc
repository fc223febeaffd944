#include "volumes/fake/fake_volumes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {

void FakeVolumes::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

int FakeVolumes::TimesMade(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(made_.count(id));
}

absl::Status FakeVolumes::Begin(absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  if (failures_ == 0) return absl::OkStatus();
  --failures_;
  return failure_;
}

absl::StatusOr<VolumeInfo> FakeVolumes::Ensure(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  if (ids_.insert(std::string(id)).second) made_.insert(std::string(id));
  return VolumeInfo{std::string(id), absl::StrCat("/fake/volumes/", id)};
}

absl::Status FakeVolumes::Delete(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  if (auto it = ids_.find(id); it != ids_.end()) ids_.erase(it);
  return absl::OkStatus();
}

std::vector<VolumeInfo> FakeVolumes::List() {
  absl::MutexLock lock(&mu_);
  std::vector<VolumeInfo> result;
  for (const std::string& id : ids_) {
    result.push_back({id, absl::StrCat("/fake/volumes/", id)});
  }
  return result;
}

}  // namespace bulwark::volumes
