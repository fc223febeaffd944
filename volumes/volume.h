// Port of managed volumes: data that outlives containers.
//
// A volume has a content, which containers bind; snapshots, which are what the
// content was; and at most one stage, a content that is being made beside it
// and then takes its place at once. Implementations: volumes/local,
// volumes/image and volumes/tmpfs, one for each driver, volumes/router over
// them, volumes/fake.
#ifndef VOLUMES_VOLUME_H_
#define VOLUMES_VOLUME_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bulwark::volumes {

enum class Driver {
  kLocal,  // a directory
  kImage,  // a file system in a file: a hard quota on any disk
  kTmpfs,  // memory
};

struct VolumeSpec {
  std::string id;  // derived from the volume's uid
  Driver driver = Driver::kLocal;
  int64_t size_bytes = 0;  // the quota; 0: none (kLocal), 64 MiB (kTmpfs)
};

struct VolumeInfo {
  std::string id;
  std::string path;  // the host directory to bind into containers
  Driver driver = Driver::kLocal;
};

struct Usage {
  int64_t used_bytes = 0;  // by this volume
  // Of the file system it lies on, which is its own but for kLocal.
  int64_t capacity_bytes = 0;
  int64_t available_bytes = 0;
  int64_t used_inodes = 0;
  int64_t capacity_inodes = 0;
};

struct SnapshotInfo {
  std::string name;
  absl::Time create_time;
  int64_t size_bytes = 0;
};

// A content that can be read or filled through the host's file system while
// this object lives: the directory `parent`/data.
class ContentView {
 public:
  virtual ~ContentView() = default;
  virtual const std::string& parent() const = 0;
};
inline constexpr char kContentName[] = "data";

// False ends a long call with CANCELLED, and with nothing half made.
using Wanted = std::function<bool()>;

// Thread-safe; calls about one volume wait for each other. Every change is on
// disk when it returns, idempotent by ids and names, and done whole or not at
// all, also if the process is killed half-way. Ids and names are 1 to 64
// characters of [a-z0-9-], else INVALID_ARGUMENT. NOT_FOUND: there is no such
// volume or snapshot. RESOURCE_EXHAUSTED: no space on the disk under it.
class Volumes {
 public:
  virtual ~Volumes() = default;

  // Makes the volume unless it exists, grows it to the size that is asked for
  // (never shrinks), and mounts it where that is needed. The content of an
  // existing volume stays. DATA_LOSS if its file system is damaged.
  virtual absl::StatusOr<VolumeInfo> Ensure(const VolumeSpec& spec) = 0;
  // Destroys its content, snapshots and stage. OK if it does not exist.
  virtual absl::Status Delete(absl::string_view id) = 0;
  // By id.
  virtual std::vector<VolumeInfo> List() = 0;
  virtual absl::StatusOr<Usage> GetUsage(absl::string_view id) = 0;

  // Keeps the content under `name`; a snapshot that exists stays as it is.
  // kImage: everything as it was at one moment. kLocal: each file as it was at
  // some moment of the call. FAILED_PRECONDITION for kTmpfs.
  virtual absl::StatusOr<SnapshotInfo> Snapshot(absl::string_view id,
                                                absl::string_view name,
                                                const Wanted& wanted) = 0;
  // OK if there is none.
  virtual absl::Status DeleteSnapshot(absl::string_view id,
                                      absl::string_view name) = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(
      absl::string_view id) = 0;
  // To read a snapshot, which must not be deleted meanwhile.
  virtual absl::StatusOr<std::unique_ptr<ContentView>> OpenSnapshot(
      absl::string_view id, absl::string_view name) = 0;

  // Makes volume `target` with the content of a snapshot of `source`. OK if
  // `target` exists.
  virtual absl::StatusOr<VolumeInfo> Clone(absl::string_view source,
                                           absl::string_view snapshot,
                                           const VolumeSpec& target,
                                           const Wanted& wanted) = 0;

  // Begins a stage with the content of `snapshot`, or an empty one for "", in
  // the place of any other. An empty one can be filled through the view that is
  // returned; otherwise that is null.
  virtual absl::StatusOr<std::unique_ptr<ContentView>> Stage(
      absl::string_view id, absl::string_view token, absl::string_view snapshot,
      const Wanted& wanted) = 0;
  // The stage of that token becomes the content, which no container may have
  // mounted. Done again it does nothing. FAILED_PRECONDITION if there is no
  // such stage.
  virtual absl::Status Swap(absl::string_view id, absl::string_view token) = 0;
  // Removes the stage, and what a swap left. OK if there is none.
  virtual absl::Status DropStage(absl::string_view id) = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_VOLUME_H_
