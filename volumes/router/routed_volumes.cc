#include "volumes/router/routed_volumes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/status.h"

namespace bulwark::volumes {

Volumes& RoutedVolumes::Of(Driver driver) const {
  switch (driver) {
    case Driver::kImage:
      return image_;
    case Driver::kTmpfs:
      return tmpfs_;
    case Driver::kLocal:
      break;
  }
  return local_;
}

Volumes& RoutedVolumes::Owner(absl::string_view id) {
  {
    absl::MutexLock lock(&mu_);
    auto it = known_.find(id);
    if (it != known_.end()) return Of(it->second);
  }
  for (const VolumeInfo& info : List()) {
    if (info.id == id) return Of(info.driver);
  }
  return local_;
}

absl::StatusOr<VolumeInfo> RoutedVolumes::Ensure(const VolumeSpec& spec) {
  ASSIGN_OR_RETURN(VolumeInfo info, Of(spec.driver).Ensure(spec));
  absl::MutexLock lock(&mu_);
  known_[info.id] = info.driver;
  return info;
}

absl::Status RoutedVolumes::Delete(absl::string_view id) {
  RETURN_IF_ERROR(Owner(id).Delete(id));
  absl::MutexLock lock(&mu_);
  if (auto it = known_.find(id); it != known_.end()) known_.erase(it);
  return absl::OkStatus();
}

std::vector<VolumeInfo> RoutedVolumes::List() {
  std::vector<VolumeInfo> all;
  for (Volumes* driver : {&local_, &image_, &tmpfs_}) {
    std::vector<VolumeInfo> some = driver->List();
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  std::sort(
      all.begin(), all.end(),
      [](const VolumeInfo& a, const VolumeInfo& b) { return a.id < b.id; });
  absl::MutexLock lock(&mu_);
  for (const VolumeInfo& info : all) known_[info.id] = info.driver;
  return all;
}

absl::StatusOr<Usage> RoutedVolumes::GetUsage(absl::string_view id) {
  return Owner(id).GetUsage(id);
}

absl::StatusOr<SnapshotInfo> RoutedVolumes::Snapshot(absl::string_view id,
                                                     absl::string_view name,
                                                     const Wanted& wanted) {
  return Owner(id).Snapshot(id, name, wanted);
}

absl::Status RoutedVolumes::DeleteSnapshot(absl::string_view id,
                                           absl::string_view name) {
  return Owner(id).DeleteSnapshot(id, name);
}

absl::StatusOr<std::vector<SnapshotInfo>> RoutedVolumes::ListSnapshots(
    absl::string_view id) {
  return Owner(id).ListSnapshots(id);
}

absl::StatusOr<std::unique_ptr<ContentView>> RoutedVolumes::OpenSnapshot(
    absl::string_view id, absl::string_view name) {
  return Owner(id).OpenSnapshot(id, name);
}

absl::StatusOr<VolumeInfo> RoutedVolumes::Clone(absl::string_view source,
                                                absl::string_view snapshot,
                                                const VolumeSpec& target,
                                                const Wanted& wanted) {
  ASSIGN_OR_RETURN(VolumeInfo info,
                   Owner(source).Clone(source, snapshot, target, wanted));
  absl::MutexLock lock(&mu_);
  known_[info.id] = info.driver;
  return info;
}

absl::StatusOr<std::unique_ptr<ContentView>> RoutedVolumes::Stage(
    absl::string_view id, absl::string_view token, absl::string_view snapshot,
    const Wanted& wanted) {
  return Owner(id).Stage(id, token, snapshot, wanted);
}

absl::Status RoutedVolumes::Swap(absl::string_view id,
                                 absl::string_view token) {
  return Owner(id).Swap(id, token);
}

absl::Status RoutedVolumes::DropStage(absl::string_view id) {
  return Owner(id).DropStage(id);
}

}  // namespace bulwark::volumes
