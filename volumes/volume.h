// Port of managed volumes.
#ifndef VOLUMES_VOLUME_H_
#define VOLUMES_VOLUME_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::volumes {

struct VolumeInfo {
  std::string id;    // derived from the volume's uid
  std::string path;  // the host directory to bind into containers
};

// Thread-safe; every call is idempotent.
class Volumes {
 public:
  virtual ~Volumes() = default;
  // Makes volume `id` unless it exists, and mounts it where that is needed.
  virtual absl::StatusOr<VolumeInfo> Ensure(absl::string_view id) = 0;
  // Destroys its data. OK if it does not exist.
  virtual absl::Status Delete(absl::string_view id) = 0;
  virtual std::vector<VolumeInfo> List() = 0;
};

}  // namespace bulwark::volumes

#endif  // VOLUMES_VOLUME_H_
