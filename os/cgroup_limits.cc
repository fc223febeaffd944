// Limits of a control group, in both versions' files.
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/cgroup.h"
#include "os/cgroup_values.h"

namespace bulwark::os {
namespace {

absl::Status WriteText(const std::string& path, absl::string_view text) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  if (write(fd.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoStatus("write", path);
  }
  return absl::OkStatus();
}

// A limit's file is missing where its controller is.
absl::Status WriteLimit(const std::string& path, absl::string_view text) {
  const absl::Status status = WriteText(path, text);
  if (!absl::IsNotFound(status)) return status;
  return absl::FailedPreconditionError(absl::StrCat(
      "limit ", path, ": this host does not give us the controller"));
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

absl::Status Cgroups::SetLimits(absl::string_view name,
                                const CgroupLimits& limits) {
  RETURN_IF_ERROR(SetV1Limits(name, limits));
  return SetV2Limits(name, limits);
}

absl::Status Cgroups::SetV1Limits(absl::string_view name,
                                  const CgroupLimits& limits) {
  if (HasV1("memory") && limits.memory_bytes > 0) {
    const std::string memory = V1("memory", name);
    const std::string bytes = absl::StrCat(limits.memory_bytes);
    RETURN_IF_ERROR(WriteLimit(memory + "/memory.limit_in_bytes", bytes));
    // No swap on top; absent where swap is not accounted.
    const std::string swap = memory + "/memory.memsw.limit_in_bytes";
    if (Exists(swap)) RETURN_IF_ERROR(WriteLimit(swap, bytes));
  }
  if (HasV1("cpu") && limits.cpu_limit_millicores > 0) {
    RETURN_IF_ERROR(
        WriteLimit(V1("cpu", name) + "/cpu.cfs_quota_us",
                   absl::StrCat(CpuQuota(limits.cpu_limit_millicores))));
  }
  if (HasV1("cpu") && limits.cpu_request_millicores > 0) {
    RETURN_IF_ERROR(
        WriteLimit(V1("cpu", name) + "/cpu.shares",
                   absl::StrCat(CpuShares(limits.cpu_request_millicores))));
  }
  if (HasV1("pids") && limits.pids > 0) {
    RETURN_IF_ERROR(
        WriteLimit(V1("pids", name) + "/pids.max", absl::StrCat(limits.pids)));
  }
  return absl::OkStatus();
}

absl::Status Cgroups::SetV2Limits(absl::string_view name,
                                  const CgroupLimits& limits) {
  const std::string group = Paths(name).unified;
  if (!HasV1("memory") && limits.memory_bytes > 0) {
    RETURN_IF_ERROR(
        WriteLimit(group + "/memory.max", absl::StrCat(limits.memory_bytes)));
    if (Exists(group + "/memory.swap.max")) {
      RETURN_IF_ERROR(WriteLimit(group + "/memory.swap.max", "0"));
    }
    RETURN_IF_ERROR(WriteLimit(group + "/memory.oom.group", "1"));
  }
  if (!HasV1("cpu") && limits.cpu_limit_millicores > 0) {
    RETURN_IF_ERROR(WriteLimit(
        group + "/cpu.max", absl::StrCat(CpuQuota(limits.cpu_limit_millicores),
                                         " ", kCpuPeriodMicroseconds)));
  }
  if (!HasV1("cpu") && limits.cpu_request_millicores > 0) {
    RETURN_IF_ERROR(WriteLimit(
        group + "/cpu.weight",
        absl::StrCat(CpuWeight(CpuShares(limits.cpu_request_millicores)))));
  }
  if (!HasV1("pids") && limits.pids > 0) {
    RETURN_IF_ERROR(WriteLimit(group + "/pids.max", absl::StrCat(limits.pids)));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::os
