#include "engine/oci/cgroup/cgroup_apply.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup_files.h"

namespace bulwark::engine::oci {
namespace {

// A setting with the directory that it is for.
struct Write {
  const CgroupSetting* setting;
  const std::string* directory;
};

int TryWrite(const Write& write) {
  const CgroupSetting& setting = *write.setting;
  const int error = WriteControl(
      absl::StrCat(*write.directory, "/", setting.file), setting.value);
  if (error != ENOENT) return error;
  if (!setting.other_file.empty()) {
    return WriteControl(absl::StrCat(*write.directory, "/", setting.other_file),
                        setting.other_value);
  }
  return setting.missing_ok ? 0 : error;
}

absl::Status WriteError(const Write& write, int error) {
  const CgroupSetting& setting = *write.setting;
  if (error == ENOENT) {
    return absl::FailedPreconditionError(
        absl::StrCat("set ", setting.field, ": ", *write.directory, " has no ",
                     setting.file, ": this host's kernel or the group above ",
                     "does not give us the controller ", setting.controller));
  }
  const absl::Status status = ErrnoStatus(
      error,
      absl::StrCat("set ", setting.field, ": write \"", setting.value, "\" to"),
      absl::StrCat(*write.directory, "/", setting.file));
  // Elsewhere EINVAL and ERANGE may mean other things; of a control file they
  // say that the value is wrong.
  return error == ERANGE ? absl::InvalidArgumentError(status.message())
                         : status;
}

// Which version a part of the resources goes to: that which holds its
// controller, and version 2 for what neither mounts, so that the error is the
// ordinary one.
void Split(const CgroupHost& host, const Resources& all, Resources& v1,
           Resources& v2) {
  const auto in_v1 = [&](const char* controller) {
    return host.unified.empty() || host.v1.count(controller) > 0;
  };
  v2.unified = all.unified;
  (in_v1("memory") ? v1 : v2).memory = all.memory;
  (in_v1("pids") ? v1 : v2).pids_limit = all.pids_limit;
  (in_v1("blkio") ? v1 : v2).block_io = all.block_io;
  (in_v1("hugetlb") ? v1 : v2).hugepages = all.hugepages;
  (in_v1("rdma") ? v1 : v2).rdma = all.rdma;
  (in_v1("net_cls") ? v1 : v2).network.class_id = all.network.class_id;
  (in_v1("net_prio") ? v1 : v2).network.priorities = all.network.priorities;
  (in_v1("cpu") ? v1 : v2).cpu = all.cpu;
  v1.cpu.cpus.clear();
  v1.cpu.mems.clear();
  v2.cpu.cpus.clear();
  v2.cpu.mems.clear();
  Resources& cpuset = in_v1("cpuset") ? v1 : v2;
  cpuset.cpu.cpus = all.cpu.cpus;
  cpuset.cpu.mems = all.cpu.mems;
}

// A setting of version 1 whose hierarchy is not mounted is left out if it says
// nothing, and an error if it does.
absl::Status DropUnmounted(const CgroupHost& host,
                           std::vector<CgroupSetting>& settings) {
  std::vector<CgroupSetting> kept;
  for (CgroupSetting& setting : settings) {
    if (host.v1.count(setting.controller) > 0) {
      kept.push_back(std::move(setting));
    } else if (!setting.missing_ok) {
      return absl::FailedPreconditionError(
          absl::StrCat("set ", setting.field, ": the version 1 hierarchy of ",
                       setting.controller, " is not mounted on this host"));
    }
  }
  settings = std::move(kept);
  return absl::OkStatus();
}

}  // namespace

std::set<std::string> CgroupPlan::V1Controllers() const {
  std::set<std::string> names;
  for (const CgroupSetting& setting : v1) names.insert(setting.controller);
  return names;
}

absl::StatusOr<CgroupPlan> PlanCgroup(const CgroupHost& host,
                                      const Resources& resources,
                                      const CgroupCurrent& current) {
  CgroupPlan plan;
  if (host.v1.empty()) {
    ASSIGN_OR_RETURN(plan.v2, CgroupSettingsV2(resources, current));
    return plan;
  }
  if (host.unified.empty() && !resources.unified.empty()) {
    return absl::FailedPreconditionError(
        "set linux.resources.unified: the version 2 hierarchy is not mounted "
        "on this host");
  }
  Resources v1, v2;
  Split(host, resources, v1, v2);
  ASSIGN_OR_RETURN(plan.v1, CgroupSettingsV1(v1));
  RETURN_IF_ERROR(DropUnmounted(host, plan.v1));
  ASSIGN_OR_RETURN(plan.v2, CgroupSettingsV2(v2, current));
  return plan;
}

absl::Status ApplyCgroupPlan(const CgroupRecord& record,
                             const CgroupPlan& plan) {
  std::vector<Write> writes;
  for (const CgroupSetting& setting : plan.v1) {
    const auto directory = record.v1.find(setting.controller);
    if (directory == record.v1.end()) {
      return absl::InternalError(
          absl::StrCat("set ", setting.field,
                       ": the group has no directory of ", setting.controller));
    }
    writes.push_back({&setting, &directory->second});
  }
  for (const CgroupSetting& setting : plan.v2) {
    writes.push_back({&setting, &record.unified});
  }
  std::vector<Write> again;
  for (const Write& write : writes) {
    const int error = TryWrite(write);
    if (error == EINVAL) {
      again.push_back(write);
    } else if (error != 0) {
      return WriteError(write, error);
    }
  }
  for (const Write& write : again) {
    const int error = TryWrite(write);
    if (error != 0) return WriteError(write, error);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::oci
