// The groups of a container that is being created.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/devices/device_program.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_apply.h"
#include "engine/oci/cgroup/cgroup_files.h"
#include "engine/oci/cgroup/cgroup_make.h"
#include "engine/oci/cgroup/cgroup_path.h"
#include "engine/oci/cgroup/device_rules.h"
#include "engine/oci/cgroup/systemd_scope.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kUndoTimeout = absl::Seconds(5);

// How a container's devices are filtered; neither, if all are allowed.
struct DeviceFilter {
  std::optional<DevicePolicy> policy;  // version 2, by a program
  std::vector<DeviceLine> lines;       // version 1, without one
};

// On a hybrid host both would do. The program says more, and needs no version 1
// hierarchy joined.
absl::StatusOr<DeviceFilter> ChooseFilter(const CgroupHost& host,
                                          const Resources& resources) {
  ASSIGN_OR_RETURN(DevicePolicy policy, CompileDeviceRules(resources.devices));
  DeviceFilter filter;
  if (policy.AllowsAll()) return filter;
  const bool v1 = host.v1.count("devices") > 0;
  if (host.unified.empty() && !v1) {
    return absl::FailedPreconditionError(
        "set linux.resources.devices: this host mounts neither the version 2 "
        "hierarchy nor that of the version 1 controller devices");
  }
  if (!host.unified.empty() && (!v1 || CanFilterDevices(host.unified))) {
    filter.policy = std::move(policy);
    return filter;
  }
  ASSIGN_OR_RETURN(filter.lines, DeviceLinesV1(policy));
  return filter;
}

absl::Status WriteLines(const CgroupRecord& record,
                        const std::vector<DeviceLine>& lines) {
  for (const DeviceLine& line : lines) {
    RETURN_IF_ERROR(WriteControlOrError(
        absl::StrCat(record.v1.at("devices"),
                     line.allow ? "/devices.allow" : "/devices.deny"),
        line.text));
  }
  return absl::OkStatus();
}

// Where systemd has put the scope, from the holder's /proc/PID/cgroup: the
// systemd of a container, or of a user, is not at the root.
absl::StatusOr<std::string> ScopePath(const ScopeName& scope, int pid) {
  const std::string groups =
      ReadControl(absl::StrCat("/proc/", pid, "/cgroup"));
  for (absl::string_view line : absl::StrSplit(groups, '\n')) {
    // "0::/path" and "9:name=systemd:/path".
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() == 3 && absl::EndsWith(parts[2], "/" + scope.unit)) {
      return std::string(parts[2]);
    }
  }
  return absl::InternalError(absl::StrCat(
      "start the scope ", scope.unit,
      ": systemd says it has, but its process is not in that group"));
}

}  // namespace

absl::StatusOr<ContainerCgroup> ContainerCgroup::Create(
    const CgroupHost& host, const CgroupRequest& request,
    const Resources& resources, Clock& clock) {
  ContainerCgroup cgroup(clock);
  ASSIGN_OR_RETURN(const CgroupPlan plan, PlanCgroup(host, resources));
  ASSIGN_OR_RETURN(DeviceFilter filter, ChooseFilter(host, resources));
  std::set<std::string> controllers = plan.V1Controllers();
  if (!filter.lines.empty()) controllers.insert("devices");
  // Without version 2, something has to find and to stop the processes.
  if (host.unified.empty()) controllers.insert("freezer");
  CgroupRecord& record = cgroup.record_;
  if (request.systemd) {
    RETURN_IF_ERROR(cgroup.MakeScope(host, request, resources));
  } else {
    ASSIGN_OR_RETURN(record.path, CgroupPath(request.cgroups_path, request.id));
  }
  if (!host.unified.empty()) record.unified = host.unified + record.path;
  if (request.all_hierarchies) {
    for (const auto& [controller, mount] : host.v1) {
      controllers.insert(controller);
    }
  }
  record.v1 = V1Directories(host, controllers, record.path);
  if (request.before) RETURN_IF_ERROR(request.before(record));
  RETURN_IF_ERROR(cgroup.MakeGroups(host));
  RETURN_IF_ERROR(ApplyCgroupPlan(record, plan));
  RETURN_IF_ERROR(WriteLines(record, filter.lines));
  cgroup.devices_ = std::move(filter.policy);
  return cgroup;
}

absl::Status ContainerCgroup::FilterDevices() {
  if (!devices_.has_value()) return absl::OkStatus();
  const absl::StatusOr<UniqueFd> program =
      LoadDeviceProgram(CompileDeviceProgram(*devices_));
  if (!program.ok()) {
    return Annotate(program.status(), "set linux.resources.devices");
  }
  const UniqueFd group(
      open(record_.unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group.ok()) return ErrnoStatus("open", record_.unified);
  return AttachDeviceProgram(program->get(), group.get());
}

absl::Status ContainerCgroup::MakeScope(const CgroupHost& host,
                                        const CgroupRequest& request,
                                        const Resources& resources) {
  ASSIGN_OR_RETURN(const ScopeName scope,
                   ParseScopeName(request.cgroups_path, request.id));
  ASSIGN_OR_RETURN(ScopeHolder holder, ScopeHolder::Start());
  const bool v1 = host.v1.count("memory") > 0;
  RETURN_IF_ERROR(
      StartScope(scope, holder.pid(), ScopeLimits(resources, v1), *clock_));
  record_.scope = scope.unit;  // from here on, ours to stop
  holder_ = std::make_unique<ScopeHolder>(std::move(holder));
  ASSIGN_OR_RETURN(record_.path, ScopePath(scope, holder_->pid()));
  return absl::OkStatus();
}

absl::Status ContainerCgroup::MakeGroups(const CgroupHost& host) {
  std::set<std::string> mounts;
  if (!host.unified.empty()) mounts.insert(host.unified);
  for (const auto& [controller, directory] : record_.v1) {
    mounts.insert(host.v1.at(controller));
  }
  for (const std::string& mount : mounts) {
    const size_t before = made_.size();
    RETURN_IF_ERROR(MakeGroup(mount, record_.path, made_));
    // systemd starts no scope that exists, and has put our holder there.
    if (made_.size() == before && record_.scope.empty())
      RETURN_IF_ERROR(CheckEmpty(mount + record_.path));
  }
  // systemd passes on what is delegated, and minds its own groups.
  if (!host.unified.empty() && record_.scope.empty())
    EnableControllers(host.unified, record_.path);
  if (record_.v1.count("cpuset") > 0) {
    RETURN_IF_ERROR(FillCpusets(host.v1.at("cpuset"), record_.path));
  }
  return absl::OkStatus();
}

ContainerCgroup::ContainerCgroup(Clock& clock) : clock_(&clock) {}

ContainerCgroup::ContainerCgroup(ContainerCgroup&& other) noexcept
    : record_(std::move(other.record_)),
      clock_(other.clock_),
      committed_(std::exchange(other.committed_, true)),
      made_(std::move(other.made_)),
      devices_(std::move(other.devices_)),
      holder_(std::move(other.holder_)) {}

ContainerCgroup::~ContainerCgroup() {
  if (committed_) return;
  // What was ours alone may have processes of a launch that failed. A group
  // above it stays if others use it by now.
  holder_.reset();
  CgroupRecord ours = {.path = record_.path, .scope = record_.scope};
  const auto is_ours = [&](const std::string& directory) {
    return !record_.scope.empty() ||
           std::find(made_.begin(), made_.end(), directory) != made_.end();
  };
  if (is_ours(record_.unified)) ours.unified = record_.unified;
  for (const auto& [controller, directory] : record_.v1) {
    if (is_ours(directory)) ours.v1[controller] = directory;
  }
  KillCgroup(ours, kUndoTimeout, *clock_).IgnoreError();
  RemoveCgroup(ours, kUndoTimeout, *clock_).IgnoreError();
  for (auto group = made_.rbegin(); group != made_.rend(); ++group) {
    rmdir(group->c_str());
  }
}

void ContainerCgroup::Commit() {
  committed_ = true;
  holder_.reset();
}

}  // namespace bulwark::engine::oci
