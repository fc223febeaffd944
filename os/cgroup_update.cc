// Limits of a control group that is in use.
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/cgroup.h"
#include "os/cgroup_values.h"
#include "os/files.h"

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

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::StatusOr<int64_t> ReadBytes(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 64));
  int64_t bytes = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &bytes)) {
    return absl::DataLossError(absl::StrCat("read ", path, ": no number"));
  }
  return bytes;
}

absl::Status InUse(const std::string& group, int64_t used, int64_t limit) {
  return absl::FailedPreconditionError(
      absl::StrCat("limit memory of ", group, ": ", used,
                   " bytes are in use, and the new limit is ", limit));
}

std::string OrMax(int64_t value) {
  return value > 0 ? absl::StrCat(value) : "max";
}

}  // namespace

absl::Status Cgroups::Update(absl::string_view name,
                             const CgroupLimits& limits) {
  const std::string group = Paths(name).unified;
  if (!Exists(group)) {
    return absl::NotFoundError(
        absl::StrCat("limit ", group, ": no such group"));
  }
  // Memory alone can be refused, so that it comes before the others.
  RETURN_IF_ERROR(HasV1("memory")
                      ? UpdateV1Memory(V1("memory", name), limits.memory_bytes)
                      : UpdateV2Memory(group, limits.memory_bytes));
  const int64_t shares = limits.cpu_request_millicores > 0
                             ? CpuShares(limits.cpu_request_millicores)
                             : kDefaultCpuShares;
  if (HasV1("cpu")) {
    const std::string cpu = V1("cpu", name);
    RETURN_IF_ERROR(
        WriteText(cpu + "/cpu.cfs_quota_us",
                  limits.cpu_limit_millicores > 0
                      ? absl::StrCat(CpuQuota(limits.cpu_limit_millicores))
                      : "-1"));
    RETURN_IF_ERROR(WriteText(cpu + "/cpu.shares", absl::StrCat(shares)));
  } else if (Exists(group + "/cpu.max")) {
    RETURN_IF_ERROR(WriteText(
        group + "/cpu.max",
        absl::StrCat(limits.cpu_limit_millicores > 0
                         ? absl::StrCat(CpuQuota(limits.cpu_limit_millicores))
                         : "max",
                     " ", kCpuPeriodMicroseconds)));
    RETURN_IF_ERROR(
        WriteText(group + "/cpu.weight", limits.cpu_request_millicores > 0
                                             ? absl::StrCat(CpuWeight(shares))
                                             : "100"));
  }
  const std::string pids =
      (HasV1("pids") ? V1("pids", name) : group) + "/pids.max";
  if (!Exists(pids)) return absl::OkStatus();
  return WriteText(pids, OrMax(limits.pids));
}

// Version 1 reclaims by itself, and answers EBUSY when that is not enough. The
// limit with swap is never below the one without.
absl::Status Cgroups::UpdateV1Memory(const std::string& group, int64_t bytes) {
  const std::string limit = group + "/memory.limit_in_bytes";
  const std::string with_swap = group + "/memory.memsw.limit_in_bytes";
  const std::string text = bytes > 0 ? absl::StrCat(bytes) : "-1";
  ASSIGN_OR_RETURN(const int64_t before, ReadBytes(limit));
  const bool swap = Exists(with_swap);
  const bool raise = bytes <= 0 || bytes > before;
  if (raise) {
    if (swap) RETURN_IF_ERROR(WriteText(with_swap, text));
    return WriteText(limit, text);
  }
  absl::Status status = WriteText(limit, text);
  const bool lowered = status.ok();
  if (lowered && swap) status = WriteText(with_swap, text);
  if (status.ok()) return status;
  if (lowered) RETURN_IF_ERROR(WriteText(limit, absl::StrCat(before)));
  if (!absl::IsFailedPrecondition(status)) return status;  // EBUSY
  return InUse(group, ReadBytes(group + "/memory.usage_in_bytes").value_or(0),
               bytes);
}

// Version 2 kills when it cannot reclaim enough below memory.max. memory.high
// reclaims, and holds up who allocates, without killing: so first that.
absl::Status Cgroups::UpdateV2Memory(const std::string& group, int64_t bytes) {
  const std::string max = group + "/memory.max";
  const std::string high = group + "/memory.high";
  if (!Exists(max)) {
    if (bytes <= 0) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "limit ", max, ": this host does not give us the controller"));
  }
  if (bytes > 0) {
    ASSIGN_OR_RETURN(int64_t used, ReadBytes(group + "/memory.current"));
    if (used > bytes) {
      RETURN_IF_ERROR(WriteText(high, absl::StrCat(bytes)));
      used = ReadBytes(group + "/memory.current").value_or(used);
    }
    if (used > bytes) {
      RETURN_IF_ERROR(WriteText(high, "max"));
      return InUse(group, used, bytes);
    }
    if (Exists(group + "/memory.swap.max")) {
      RETURN_IF_ERROR(WriteText(group + "/memory.swap.max", "0"));
    }
    RETURN_IF_ERROR(WriteText(group + "/memory.oom.group", "1"));
  }
  RETURN_IF_ERROR(WriteText(max, OrMax(bytes)));
  return Exists(high) ? WriteText(high, "max") : absl::OkStatus();
}

}  // namespace bulwark::os
