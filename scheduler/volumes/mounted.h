// Which volumes containers mount. Pure.
#ifndef SCHEDULER_VOLUMES_MOUNTED_H_
#define SCHEDULER_VOLUMES_MOUNTED_H_

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// The Volume object behind a mount: its own name, or "OWNER-NAME-SLOT" where
// each slot has one. `owner` is the service or job.
std::string VolumeName(absl::string_view owner, int slot,
                       const v1::VolumeMount& mount);
std::string VolumeName(const v1::Replica& replica,
                       const v1::VolumeMount& mount);

// The service or job of a replica.
const std::string& OwnerOf(const v1::Replica& replica);

// What a replica of this template mounts.
std::set<std::string> VolumesOf(const v1::Template& t,
                                const v1::Replica& replica);

// The volumes that its containers mount by their own names: not those of single
// slots.
std::set<std::string> NamedVolumes(const v1::Template& t);

// The first of `names` that some slot of the owner mounts; empty: none.
std::string FirstMounted(const v1::Template& t, absl::string_view owner,
                         const std::set<std::string>& names);

// Whether some container mounts the volume `name` itself, and whether some
// mounts one for each slot that is made like it.
struct MountKinds {
  bool itself = false;
  bool as_pattern = false;
};
MountKinds KindsOf(const v1::Template& t, absl::string_view name);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_MOUNTED_H_
