// The daemon's own records about volumes.
#ifndef SCHEDULER_VOLUMES_RECORDS_H_
#define SCHEDULER_VOLUMES_RECORDS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/bulwark/volumes/v1/records.pb.h"
#include "store/store.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

inline constexpr char kVolumeWork[] = "volume-work";
inline constexpr char kVolumeRepositories[] = "volume-repositories";

struct StoredWork {
  store::Key key;  // of the volume's name
  bulwark::volumes::v1::VolumeWork work;
  uint64_t revision = 0;  // 0: it is new
};

store::Key WorkKey(const std::string& project, const std::string& volume);

// Nothing if there is none. DATA_LOSS for a record that cannot be read.
absl::StatusOr<std::optional<StoredWork>> FindWork(store::MetadataStore& store,
                                                   const store::Key& key);

// Durable. ABORTED if somebody else has changed it; a new one: if there is one.
absl::Status SaveWork(store::MetadataStore& store, StoredWork& work);

// The clones that are being made of the volume of that uid.
absl::StatusOr<std::vector<StoredWork>> ClonesOf(store::MetadataStore& store,
                                                 const std::string& project,
                                                 const std::string& volume_uid);

// Volumes of the project that no replica may mount now.
absl::StatusOr<std::set<std::string>> HeldVolumes(store::MetadataStore& store,
                                                  const std::string& project);

// Those of `names` that are declared for one writer.
absl::StatusOr<std::set<std::string>> SingleWriterAmong(
    store::MetadataStore& store, const std::string& project,
    const std::set<std::string>& names);

// What the drivers make of an object.
volumes::VolumeSpec DriverSpec(const v1::Volume& volume);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_RECORDS_H_
