#include "daemon/disk/disk.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/images_service.h"
#include "base/status.h"
#include "os/files.h"
#include "os/measure.h"
#include "scheduler/names.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

// What was used a moment ago is likely to be used again at once.
constexpr absl::Duration kMinUnused = absl::Minutes(10);

struct Space {
  int64_t total = 0;
  int64_t used = 0;
  int64_t available = 0;  // to others than root
};

absl::StatusOr<Space> SpaceOf(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus("look at", path);
  const auto block = static_cast<int64_t>(info.f_frsize);
  return Space{static_cast<int64_t>(info.f_blocks) * block,
               static_cast<int64_t>(info.f_blocks - info.f_bfree) * block,
               static_cast<int64_t>(info.f_bavail) * block};
}

bool Wants(const v1::PruneRequest& request, absl::string_view type) {
  return std::find(request.types().begin(), request.types().end(), type) !=
         request.types().end();
}

void Add(v1::DiskUsageResponse& response, absl::string_view type,
         const engine::DiskShare& share) {
  v1::DiskUsageItem& item = *response.add_items();
  item.set_type(std::string(type));
  item.set_count(share.count);
  item.set_active(share.active);
  item.set_size_bytes(share.bytes);
  item.set_reclaimable_bytes(share.reclaimable_bytes);
}

// Images by the names in what is declared, also before they have a revision.
void AddDeclared(const google::protobuf::RepeatedPtrField<v1::Container>& list,
                 std::set<std::string>& names) {
  for (const v1::Container& container : list) names.insert(container.image());
}

template <typename Spec>
void AddDeclaredOf(const Spec& spec, std::set<std::string>& names) {
  AddDeclared(spec.containers(), names);
  AddDeclared(spec.init_containers(), names);
}

}  // namespace

std::vector<std::string> EndedContainers(
    const std::vector<engine::ContainerInfo>& containers,
    const std::vector<v1::Object>& replicas) {
  std::set<std::string> living;  // uids
  for (const v1::Object& object : replicas) {
    const v1::ReplicaStatus::State state = object.replica().status().state();
    if (state != v1::ReplicaStatus::FAILED &&
        state != v1::ReplicaStatus::STOPPED) {
      living.insert(object.replica().metadata().uid());
    }
  }
  std::vector<std::string> ended;
  for (const engine::ContainerInfo& info : containers) {
    const auto owner = info.labels.find(scheduler::kReplicaLabel);
    // Without one it is a build's, which removes it itself.
    if (info.state == engine::ContainerState::kExited &&
        owner != info.labels.end() && living.count(owner->second) == 0) {
      ended.push_back(info.id);
    }
  }
  return ended;
}

absl::StatusOr<std::vector<std::string>> Disk::NeededImages(bool for_good) {
  ASSIGN_OR_RETURN(std::vector<std::string> digests, api::DigestsInUse(store_));
  std::set<std::string> names;
  // Of revisions there are the digests already, if all can be read.
  for (const char* kind : {"service", "job", "cron-job", "revision"}) {
    ASSIGN_OR_RETURN(const store::ReadableListing listing,
                     store::ListReadable(store_, kind));
    if (for_good && !listing.unreadable.empty()) {
      return Annotate(listing.unreadable.front().why,
                      "remove images with a name (a record that cannot be read "
                      "may need some; without --all the others go)");
    }
    for (const v1::Object& object : listing.objects) {
      AddDeclaredOf(object.service().spec(), names);
      AddDeclared(object.service().spec().sidecars(), names);
      AddDeclaredOf(object.job().spec(), names);
      AddDeclaredOf(object.cron_job().spec().job(), names);
    }
  }
  for (const std::string& name : names) {
    const absl::StatusOr<engine::Image> image = images_.Get(name);
    if (image.ok()) digests.push_back(image->digest);
  }
  return digests;
}

absl::StatusOr<std::vector<std::string>> Disk::Ended() {
  // First the containers: a replica that is made later has none of these.
  const std::vector<engine::ContainerInfo> containers = engine_.List();
  ASSIGN_OR_RETURN(const store::ReadableListing replicas,
                   store::ListReadable(store_, "replica"));
  if (!replicas.unreadable.empty()) {
    return Annotate(replicas.unreadable.front().why,
                    "remove ended containers (a record that cannot be read may "
                    "have some; --type images --type build-cache removes the "
                    "rest)");
  }
  return EndedContainers(containers, replicas.objects);
}

std::string Disk::ContainerDir(const std::string& id) const {
  return absl::StrCat(state_dir_, "/containers/", id);
}

absl::Status Disk::AddImages(v1::DiskUsageResponse& response) {
  const absl::StatusOr<std::vector<std::string>> needed = NeededImages(false);
  if (!needed.ok() && !absl::IsDataLoss(needed.status())) {
    return needed.status();
  }
  ASSIGN_OR_RETURN(engine::ImagesUsage usage,
                   images_.Usage(needed.value_or(std::vector<std::string>())));
  // Nothing is removed while it is not known what is needed.
  if (!needed.ok()) usage.images.reclaimable_bytes = 0;
  Add(response, "images", usage.images);
  Add(response, "build-cache", usage.build_cache);
  return absl::OkStatus();
}

absl::Status Disk::AddContainers(v1::DiskUsageResponse& response) {
  const absl::StatusOr<std::vector<std::string>> ended = Ended();
  if (!ended.ok() && !absl::IsDataLoss(ended.status())) return ended.status();
  std::set<std::string> removable;
  if (ended.ok()) removable.insert(ended->begin(), ended->end());
  engine::DiskShare layers, logs;
  for (const engine::ContainerInfo& info : engine_.List()) {
    const std::string dir = ContainerDir(info.id);
    ASSIGN_OR_RETURN(const os::TreeUsage all, os::MeasureTree(dir));
    int64_t log = 0;
    for (const std::string& name :
         os::ListDir(dir).value_or(std::vector<std::string>())) {
      // "log" and "log.1": of shims before files were numbered.
      if (name != "log" && !absl::StartsWith(name, "log-") &&
          !absl::StartsWith(name, "log.")) {
        continue;
      }
      ASSIGN_OR_RETURN(const os::TreeUsage one,
                       os::MeasureTree(absl::StrCat(dir, "/", name)));
      log += one.bytes;
    }
    const bool running = info.state == engine::ContainerState::kRunning;
    layers.bytes += all.bytes - log;
    logs.bytes += log;
    for (engine::DiskShare* share : {&layers, &logs}) {
      ++share->count;
      if (running) ++share->active;
    }
    // Logs go with their containers.
    if (removable.count(info.id) > 0) {
      layers.reclaimable_bytes += all.bytes - log;
      logs.reclaimable_bytes += log;
    }
  }
  Add(response, "containers", layers);
  Add(response, "logs", logs);
  return absl::OkStatus();
}

int64_t Disk::BytesOnDisk(const volumes::VolumeInfo& info,
                          const v1::Volume& declared) {
  if (info.driver == volumes::Driver::kTmpfs) return 0;
  const absl::StatusOr<volumes::Usage> usage = volumes_.GetUsage(info.id);
  // One that is damaged, or that goes just now, hides no others.
  const int64_t used =
      usage.ok() ? usage->used_bytes : declared.status().used_bytes();
  // An image takes all that it may ever hold.
  if (info.driver != volumes::Driver::kImage) return used;
  return std::max(used, declared.spec().size());
}

absl::Status Disk::AddVolumes(v1::DiskUsageResponse& response) {
  ASSIGN_OR_RETURN(const store::ReadableListing listing,
                   store::ListReadable(store_, "volume"));
  std::map<std::string, const v1::Volume*> declared;  // by uid
  for (const v1::Object& object : listing.objects) {
    declared[object.volume().metadata().uid()] = &object.volume();
  }
  engine::DiskShare share;
  int64_t snapshots = 0, snapshot_bytes = 0;
  for (const volumes::VolumeInfo& info : volumes_.List()) {
    ++share.count;
    const auto volume = declared.find(info.id);
    share.bytes += BytesOnDisk(
        info, volume == declared.end() ? v1::Volume() : *volume->second);
  }
  for (const v1::Object& object : listing.objects) {
    const v1::VolumeStatus& status = object.volume().status();
    if (status.users_size() > 0) ++share.active;
    for (const v1::VolumeSnapshot& snapshot : status.snapshots()) {
      ++snapshots;
      snapshot_bytes += snapshot.size_bytes();
    }
  }
  Add(response, "volumes", share);
  Add(response, "snapshots", {snapshots, 0, snapshot_bytes, 0});
  return absl::OkStatus();
}

absl::StatusOr<v1::DiskUsageResponse> Disk::Usage() {
  v1::DiskUsageResponse response;
  RETURN_IF_ERROR(AddImages(response));
  RETURN_IF_ERROR(AddContainers(response));
  RETURN_IF_ERROR(AddVolumes(response));
  ASSIGN_OR_RETURN(const os::TreeUsage store,
                   os::MeasureTree(state_dir_ + "/store"));
  Add(response, "store", {1, 1, store.bytes, 0});
  ASSIGN_OR_RETURN(const Space space, SpaceOf(state_dir_));
  response.set_disk_total_bytes(space.total);
  response.set_disk_available_bytes(space.available);
  return response;
}

absl::StatusOr<int64_t> Disk::PruneContainers(bool dry_run,
                                              v1::PruneResponse& response) {
  ASSIGN_OR_RETURN(const std::vector<std::string> ended, Ended());
  int64_t bytes = 0;
  for (const std::string& id : ended) {
    ASSIGN_OR_RETURN(const os::TreeUsage size,
                     os::MeasureTree(ContainerDir(id)));
    if (!dry_run) RETURN_IF_ERROR(engine_.Remove(id));
    bytes += size.bytes;
    response.add_removed(absl::StrCat("container ", id));
  }
  return bytes;
}

absl::StatusOr<int64_t> Disk::PruneImages(const v1::PruneRequest& request,
                                          v1::PruneResponse& response) {
  engine::PruneImagesRequest prune;
  prune.images = Wants(request, "images");
  prune.all = request.all();
  prune.build_cache = Wants(request, "build-cache");
  prune.dry_run = request.validate_only();
  if (!prune.images && !prune.build_cache) return int64_t{0};
  ASSIGN_OR_RETURN(prune.in_use, NeededImages(request.all()));
  ASSIGN_OR_RETURN(const engine::PruneImagesResult result,
                   images_.Prune(prune));
  for (const std::string& what : result.removed) response.add_removed(what);
  return result.bytes;
}

absl::StatusOr<v1::PruneResponse> Disk::Prune(const v1::PruneRequest& request) {
  v1::PruneResponse response;
  ASSIGN_OR_RETURN(const Space before, SpaceOf(state_dir_));
  int64_t estimate = 0;
  // Containers first: their images may go then.
  if (Wants(request, "containers")) {
    ASSIGN_OR_RETURN(const int64_t bytes,
                     PruneContainers(request.validate_only(), response));
    estimate += bytes;
  }
  ASSIGN_OR_RETURN(const int64_t bytes, PruneImages(request, response));
  estimate += bytes;
  if (request.validate_only()) {
    response.set_freed_bytes(estimate);
    return response;
  }
  // Some file systems count what is freed only when it is flushed.
  RETURN_IF_ERROR(os::SyncFs(state_dir_));
  ASSIGN_OR_RETURN(const Space after, SpaceOf(state_dir_));
  response.set_freed_bytes(
      std::max<int64_t>(0, after.available - before.available));
  return response;
}

absl::StatusOr<int> Disk::PercentUsed() const {
  if (used_percent_ != nullptr) return used_percent_();
  ASSIGN_OR_RETURN(const Space space, SpaceOf(state_dir_));
  const int64_t usable = space.used + space.available;
  return usable > 0 ? static_cast<int>(space.used * 100 / usable) : 0;
}

absl::StatusOr<Collected> Disk::Collect(const Watermarks& marks) {
  Collected result;
  ASSIGN_OR_RETURN(result.percent_before, PercentUsed());
  result.percent_after = result.percent_before;
  if (result.percent_before < marks.start_percent) return result;
  absl::Status trouble;
  const auto enough = [&] {
    // What has just been freed may be counted only once it is flushed.
    trouble.Update(os::SyncFs(state_dir_));
    const absl::StatusOr<int> percent = PercentUsed();
    trouble.Update(percent.status());
    if (percent.ok()) result.percent_after = *percent;
    return !trouble.ok() || result.percent_after <= marks.stop_percent;
  };
  // The cheapest to get back first.
  engine::PruneImagesRequest nameless, cache, named;
  nameless.images = true;
  cache.build_cache = true;
  // What was built or loaded here may be nowhere else.
  named.images = named.all = named.only_pulled = true;
  for (engine::PruneImagesRequest* request : {&nameless, &cache, &named}) {
    if (request != &nameless && enough()) break;
    // Anew each time: what was needed by nothing may be by now.
    ASSIGN_OR_RETURN(request->in_use, NeededImages(false));
    request->min_unused = kMinUnused;
    if (request != &cache) request->enough = enough;
    ASSIGN_OR_RETURN(const engine::PruneImagesResult pruned,
                     images_.Prune(*request));
    result.removed.insert(result.removed.end(), pruned.removed.begin(),
                          pruned.removed.end());
  }
  enough();
  RETURN_IF_ERROR(trouble);
  return result;
}

}  // namespace bulwark::daemon
