#include "volumes/fake/fake_volumes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "volumes/volume_id.h"

namespace bulwark::volumes {
namespace {

class Nowhere final : public ContentView {
 public:
  explicit Nowhere(std::string parent) : parent_(std::move(parent)) {}
  const std::string& parent() const override { return parent_; }

 private:
  const std::string parent_;
};

absl::Status NoSnapshot(absl::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("find snapshot ", name, ": it does not exist"));
}

}  // namespace

void FakeVolumes::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

int FakeVolumes::TimesMade(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(made_.count(id));
}

void FakeVolumes::Write(absl::string_view id, std::string content) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  CHECK(it != volumes_.end());
  it->second.content = std::move(content);
}

std::string FakeVolumes::Read(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  CHECK(it != volumes_.end());
  return it->second.content;
}

void FakeVolumes::FillStage(absl::string_view id, std::string content) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  CHECK(it != volumes_.end() && it->second.stage.has_value());
  it->second.stage->content = std::move(content);
}

void FakeVolumes::SetUsage(absl::string_view id, Usage usage) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  CHECK(it != volumes_.end());
  it->second.usage = usage;
}

void FakeVolumes::FailUsage(absl::string_view id, absl::Status why) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  CHECK(it != volumes_.end());
  it->second.usage_error = std::move(why);
}

std::optional<VolumeSpec> FakeVolumes::SpecOf(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  if (it == volumes_.end()) return std::nullopt;
  return it->second.spec;
}

bool FakeVolumes::HasStage(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  auto it = volumes_.find(id);
  return it != volumes_.end() && it->second.stage.has_value();
}

VolumeInfo FakeVolumes::InfoOf(const VolumeSpec& spec) {
  return {spec.id, absl::StrCat("/fake/volumes/", spec.id), spec.driver};
}

absl::Status FakeVolumes::Begin(absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  if (failures_ == 0) return absl::OkStatus();
  --failures_;
  return failure_;
}

absl::StatusOr<FakeVolumes::Volume*> FakeVolumes::Find(absl::string_view id) {
  RETURN_IF_ERROR(CheckVolumeId(id));
  auto it = volumes_.find(id);
  if (it != volumes_.end()) return &it->second;
  return absl::NotFoundError(absl::StrCat("find volume ", id, ": not found"));
}

absl::StatusOr<FakeVolumes::Volume*> FakeVolumes::FindDurable(
    absl::string_view id) {
  ASSIGN_OR_RETURN(Volume * volume, Find(id));
  if (volume->spec.driver != Driver::kTmpfs) return volume;
  return absl::FailedPreconditionError(
      absl::StrCat("use volume ", id, ": it is in memory"));
}

absl::StatusOr<FakeVolumes::Kept*> FakeVolumes::FindSnapshot(
    Volume& volume, absl::string_view name) {
  RETURN_IF_ERROR(CheckVolumeId(name));
  for (Kept& kept : volume.snapshots) {
    if (kept.info.name == name) return &kept;
  }
  return NoSnapshot(name);
}

absl::StatusOr<VolumeInfo> FakeVolumes::Ensure(const VolumeSpec& spec) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(spec.id));
  auto it = volumes_.find(spec.id);
  if (it == volumes_.end()) {
    if (spec.driver == Driver::kImage && spec.size_bytes <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("make volume ", spec.id, ": an image needs a size"));
    }
    made_.insert(spec.id);
    it = volumes_.emplace(spec.id, Volume{spec, "", {}, {}, {}}).first;
  }
  int64_t& size = it->second.spec.size_bytes;
  size = std::max(size, spec.size_bytes);
  return InfoOf(it->second.spec);
}

absl::Status FakeVolumes::Delete(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  if (auto it = volumes_.find(id); it != volumes_.end()) volumes_.erase(it);
  return absl::OkStatus();
}

std::vector<VolumeInfo> FakeVolumes::List() {
  absl::MutexLock lock(&mu_);
  std::vector<VolumeInfo> result;
  for (const auto& [id, volume] : volumes_) {
    result.push_back(InfoOf(volume.spec));
  }
  return result;
}

absl::StatusOr<Usage> FakeVolumes::GetUsage(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Volume * volume, Find(id));
  RETURN_IF_ERROR(volume->usage_error);
  return volume->usage;
}

absl::StatusOr<SnapshotInfo> FakeVolumes::Snapshot(absl::string_view id,
                                                   absl::string_view name,
                                                   const Wanted&) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  ASSIGN_OR_RETURN(Volume * volume, FindDurable(id));
  const absl::StatusOr<Kept*> kept = FindSnapshot(*volume, name);
  if (kept.ok()) return (*kept)->info;
  if (!absl::IsNotFound(kept.status())) return kept.status();
  SnapshotInfo info;
  info.name = std::string(name);
  info.create_time = absl::FromUnixSeconds(1'900'000'000 + ++snapshots_made_);
  info.size_bytes = static_cast<int64_t>(volume->content.size());
  volume->snapshots.push_back({info, volume->content});
  return info;
}

absl::Status FakeVolumes::DeleteSnapshot(absl::string_view id,
                                         absl::string_view name) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  RETURN_IF_ERROR(CheckVolumeId(name));
  auto it = volumes_.find(id);
  if (it == volumes_.end()) return absl::OkStatus();
  std::erase_if(it->second.snapshots,
                [&](const Kept& kept) { return kept.info.name == name; });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SnapshotInfo>> FakeVolumes::ListSnapshots(
    absl::string_view id) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Volume * volume, Find(id));
  std::vector<SnapshotInfo> result;
  for (const Kept& kept : volume->snapshots) result.push_back(kept.info);
  return result;
}

absl::StatusOr<std::unique_ptr<ContentView>> FakeVolumes::OpenSnapshot(
    absl::string_view id, absl::string_view name) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(Volume * volume, FindDurable(id));
  RETURN_IF_ERROR(FindSnapshot(*volume, name).status());
  return std::make_unique<Nowhere>(absl::StrCat("/fake/views/", id, ".", name));
}

absl::StatusOr<VolumeInfo> FakeVolumes::Clone(absl::string_view source,
                                              absl::string_view snapshot,
                                              const VolumeSpec& target,
                                              const Wanted&) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(target.id));
  ASSIGN_OR_RETURN(Volume * volume, FindDurable(source));
  ASSIGN_OR_RETURN(Kept * kept, FindSnapshot(*volume, snapshot));
  Volume copy{target, kept->content, {}, {}, {}};
  copy.spec.driver = volume->spec.driver;
  auto [it, made] = volumes_.emplace(target.id, std::move(copy));
  if (made) made_.insert(target.id);
  return InfoOf(it->second.spec);
}

absl::StatusOr<std::unique_ptr<ContentView>> FakeVolumes::Stage(
    absl::string_view id, absl::string_view token, absl::string_view snapshot,
    const Wanted&) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  RETURN_IF_ERROR(CheckVolumeId(token));
  ASSIGN_OR_RETURN(Volume * volume, FindDurable(id));
  Staged staged{std::string(token), "", false};
  if (!snapshot.empty()) {
    ASSIGN_OR_RETURN(Kept * kept, FindSnapshot(*volume, snapshot));
    staged.content = kept->content;
  }
  volume->stage = std::move(staged);
  if (!snapshot.empty()) return std::unique_ptr<ContentView>();
  return std::make_unique<Nowhere>(absl::StrCat("/fake/stages/", id));
}

absl::Status FakeVolumes::Swap(absl::string_view id, absl::string_view token) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  ASSIGN_OR_RETURN(Volume * volume, FindDurable(id));
  if (!volume->stage.has_value() || volume->stage->token != token) {
    return absl::FailedPreconditionError(
        absl::StrCat("swap ", id, ": nothing is staged for it"));
  }
  if (!volume->stage->swapped) volume->content = volume->stage->content;
  volume->stage->swapped = true;
  return absl::OkStatus();
}

absl::Status FakeVolumes::DropStage(absl::string_view id) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(Begin(id));
  auto it = volumes_.find(id);
  if (it != volumes_.end()) it->second.stage.reset();
  return absl::OkStatus();
}

}  // namespace bulwark::volumes
