// linux.resources onto groups that exist.
#ifndef ENGINE_OCI_CGROUP_CGROUP_APPLY_H_
#define ENGINE_OCI_CGROUP_CGROUP_APPLY_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_settings.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// What is to be written, by the version that holds the controller on a host.
struct CgroupPlan {
  std::vector<CgroupSetting> v1;
  std::vector<CgroupSetting> v2;

  std::set<std::string> V1Controllers() const;
};

// INVALID_ARGUMENT and FAILED_PRECONDITION as the conversions say, and for a
// controller that this host does not have at all.
absl::StatusOr<CgroupPlan> PlanCgroup(const CgroupHost& host,
                                      const Resources& resources,
                                      const CgroupCurrent& current = {});

// Writes it. An error leaves what was written before it.
absl::Status ApplyCgroupPlan(const CgroupRecord& record,
                             const CgroupPlan& plan);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_APPLY_H_
