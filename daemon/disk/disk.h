// `ctl system df` and `ctl system prune`: what takes disk space, and freeing
// it.
#ifndef DAEMON_DISK_DISK_H_
#define DAEMON_DISK_DISK_H_

#include <string>
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

 private:
  // Digests of images that something declared or running needs.
  absl::StatusOr<std::vector<std::string>> NeededImages();
  absl::StatusOr<std::vector<std::string>> Ended();
  std::string ContainerDir(const std::string& id) const;
  absl::Status AddImages(v1::DiskUsageResponse& response);
  absl::Status AddContainers(v1::DiskUsageResponse& response);
  absl::Status AddVolumes(v1::DiskUsageResponse& response);
  absl::StatusOr<int64_t> PruneContainers(bool dry_run,
                                          v1::PruneResponse& response);
  absl::StatusOr<int64_t> PruneImages(const v1::PruneRequest& request,
                                      v1::PruneResponse& response);

  const std::string state_dir_;
  store::MetadataStore& store_;
  engine::Engine& engine_;
  engine::Images& images_;
  volumes::Volumes& volumes_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_DISK_DISK_H_
