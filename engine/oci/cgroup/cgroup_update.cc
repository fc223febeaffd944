// Other limits for a container that runs.
#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_apply.h"
#include "engine/oci/cgroup/cgroup_files.h"
#include "engine/oci/cgroup/cgroup_make.h"
#include "engine/oci/cgroup/systemd_scope.h"

namespace bulwark::engine::oci {
namespace {

// What forks while it is moved is moved in the next round; its children then
// are born in the right place.
constexpr int kRounds = 20;

// -1 for "max"; nothing if it cannot be read.
std::optional<int64_t> ReadLimit(const std::string& path) {
  const std::string text = ReadControl(path);
  const absl::string_view word =
      absl::string_view(text).substr(0, text.find(' '));
  int64_t value;
  if (word == "max") return -1;
  if (absl::SimpleAtoi(word, &value)) return value;
  return std::nullopt;
}

CgroupCurrent Current(const CgroupRecord& record) {
  CgroupCurrent current;
  if (record.unified.empty()) return current;
  current.memory_limit = ReadLimit(record.unified + "/memory.max");
  current.cpu_quota = ReadLimit(record.unified + "/cpu.max");
  return current;
}

// memory.checkBeforeUpdate: no limit that would kill at once. Version 1 refuses
// such a limit by itself.
absl::Status CheckUsage(const CgroupRecord& record,
                        const Resources& resources) {
  const int64_t limit = resources.memory.limit.value_or(0);
  if (!resources.memory.check_before_update.value_or(false) || limit <= 0) {
    return absl::OkStatus();
  }
  const uint64_t used =
      ControlNumber(ReadControl(record.unified + "/memory.current"));
  if (used <= static_cast<uint64_t>(limit)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("set linux.resources.memory.limit: ", used,
                   " bytes are in use, and the new limit is ", limit));
}

absl::Status MoveInto(const CgroupRecord& record,
                      const std::string& directory) {
  for (int round = 0; round < kRounds; ++round) {
    ASSIGN_OR_RETURN(const std::vector<int> all, CgroupPids(record));
    std::vector<int> there;
    RETURN_IF_ERROR(AppendPids(directory, there));
    bool moved = false;
    for (const int pid : all) {
      if (std::find(there.begin(), there.end(), pid) != there.end()) continue;
      const std::string procs = directory + "/cgroup.procs";
      const int error = WriteControl(procs, absl::StrCat(pid));
      if (error != 0 && error != ESRCH) {
        return ErrnoStatus(error, absl::StrCat("move process ", pid, " into"),
                           directory);
      }
      moved = true;
    }
    if (!moved) return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(
      "move the container's processes into ", directory,
      ": new ones are born faster than we follow; pause it first"));
}

// The groups of version 1 that nothing needed so far. Memory that is in use
// stays counted where it was; what is used from now on counts.
absl::Status Join(const CgroupHost& host, const CgroupPlan& plan,
                  CgroupRecord& record) {
  const std::map<std::string, std::string> needed =
      V1Directories(host, plan.V1Controllers(), record.path);
  for (const auto& [controller, directory] : needed) {
    if (record.v1.count(controller) > 0) continue;
    std::vector<std::string> made;
    RETURN_IF_ERROR(MakeGroup(host.v1.at(controller), record.path, made));
    if (controller == "cpuset") {
      RETURN_IF_ERROR(FillCpusets(host.v1.at(controller), record.path));
    }
    record.v1[controller] = directory;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status UpdateCgroup(const CgroupHost& host, const Resources& resources,
                          CgroupRecord& record, Clock& clock) {
  if (record.path.empty()) {
    return absl::FailedPreconditionError(
        "update the container: it has no control group of its own");
  }
  ASSIGN_OR_RETURN(const CgroupPlan plan,
                   PlanCgroup(host, resources, Current(record)));
  RETURN_IF_ERROR(CheckUsage(record, resources));
  if (!record.scope.empty()) {
    RETURN_IF_ERROR(SetScopeLimits(
        record.scope, ScopeLimits(resources, host.v1.count("memory") > 0),
        clock));
  }
  const std::map<std::string, std::string> before = record.v1;
  RETURN_IF_ERROR(Join(host, plan, record));
  RETURN_IF_ERROR(ApplyCgroupPlan(record, plan));
  std::set<std::string> joined;
  for (const auto& [controller, directory] : record.v1) {
    if (before.count(controller) == 0) joined.insert(directory);
  }
  for (const std::string& directory : joined) {
    RETURN_IF_ERROR(MoveInto(record, directory));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::oci
