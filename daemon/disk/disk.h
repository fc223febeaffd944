// `ctl system df` and `ctl system prune`: what takes disk space, and freeing
// it.
#ifndef DAEMON_DISK_DISK_H_
#define DAEMON_DISK_DISK_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/images.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"
#include "volumes/volume.h"

namespace bulwark::daemon {

// What of the engine's containers may go: those that have ended and whose
// replica has ended too, or is gone. Their replicas' records stay: they say
// why, and count for the back-off. Pure.
std::vector<std::string> EndedContainers(
    const std::vector<engine::ContainerInfo>& containers,
    const std::vector<v1::Object>& replicas);

// When images go by themselves: not before the disk is so full, and not once it
// is no fuller than that. Percent, as `df` counts: what root keeps for itself
// is neither used nor free.
struct Watermarks {
  int start_percent = 85;
  int stop_percent = 80;
};

struct Collected {
  std::vector<std::string> removed;  // as Prune() says it
  int percent_before = 0;
  int percent_after = 0;
};

// Thread-safe; calls read whole directory trees, and block for that long. The
// references must outlive this object.
class Disk {
 public:
  Disk(std::string state_dir, store::MetadataStore& store,
       engine::Engine& engine, engine::Images& images,
       volumes::Volumes& volumes)
      : state_dir_(std::move(state_dir)),
        store_(store),
        engine_(engine),
        images_(images),
        volumes_(volumes) {}

  absl::StatusOr<v1::DiskUsageResponse> Usage();
  // `request` has types, all of them known. What the file system has free
  // afterwards, less what it had before, is freed_bytes; with validate_only an
  // estimate by the files' sizes.
  absl::StatusOr<v1::PruneResponse> Prune(const v1::PruneRequest& request);

  // If the disk is too full: removes images without a name, then the build
  // cache, then the images that were unused the longest, each only while it is
  // still fuller than the lower mark. What is needed (as for Prune()) or was
  // used within ten minutes stays.
  absl::StatusOr<Collected> Collect(const Watermarks& marks);

  // How full the disk is, for tests.
  using UsedPercent = std::function<absl::StatusOr<int>()>;
  void SetUsedPercent(UsedPercent used) { used_percent_ = std::move(used); }

 private:
  // Digests of images that something declared or running needs. DATA_LOSS if
  // they are not all known. What cannot be read and does not run counts only if
  // what is removed may be lost for good.
  absl::StatusOr<std::vector<std::string>> NeededImages(bool for_good);
  // DATA_LOSS if a replica's record cannot be read.
  absl::StatusOr<std::vector<std::string>> Ended();
  std::string ContainerDir(const std::string& id) const;
  absl::Status AddImages(v1::DiskUsageResponse& response);
  absl::Status AddContainers(v1::DiskUsageResponse& response);
  // What a volume takes of the disk, which is not what is in it.
  int64_t BytesOnDisk(const volumes::VolumeInfo& info,
                      const v1::Volume& declared);
  absl::Status AddVolumes(v1::DiskUsageResponse& response);
  absl::StatusOr<int64_t> PruneContainers(bool dry_run,
                                          v1::PruneResponse& response);
  absl::StatusOr<int> PercentUsed() const;
  absl::StatusOr<int64_t> PruneImages(const v1::PruneRequest& request,
                                      v1::PruneResponse& response);

  const std::string state_dir_;
  store::MetadataStore& store_;
  engine::Engine& engine_;
  engine::Images& images_;
  volumes::Volumes& volumes_;
  UsedPercent used_percent_;  // null: of the file system
};

}  // namespace bulwark::daemon

#endif  // DAEMON_DISK_DISK_H_
