// Where the hierarchies are.
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

constexpr const char* kUsualPlace = "/sys/fs/cgroup";
constexpr int64_t kMaxMountinfo = 64 << 20;

constexpr const char* kControllers[] = {
    "blkio",  "cpu",  "cpuacct", "cpuset", "devices", "freezer",  "hugetlb",
    "memory", "misc", "pids",    "rdma",   "net_cls", "net_prio", "perf_event"};

bool IsController(absl::string_view option) {
  return absl::StartsWith(option, "name=") ||
         std::find(std::begin(kControllers), std::end(kControllers), option) !=
             std::end(kControllers);
}

// One line, "ID PARENT DEV ROOT PATH ... - TYPE SOURCE OPTIONS" (proc(5)).
// `whole`: only mounts of a whole hierarchy count; a part of one is what we
// see in a container without a cgroup namespace.
void AddMount(absl::string_view line, bool whole, CgroupHost& host) {
  const std::vector<absl::string_view> halves =
      absl::StrSplit(line, absl::MaxSplits(" - ", 1));
  if (halves.size() != 2) return;
  const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
  const std::vector<absl::string_view> fs = absl::StrSplit(halves[1], ' ');
  if (mount.size() < 6 || fs.size() < 3) return;
  if (whole != (mount[3] == "/")) return;
  const std::string path(mount[4]);
  if (fs[0] == "cgroup2" && host.unified.empty()) host.unified = path;
  if (fs[0] != "cgroup") return;
  for (absl::string_view option : absl::StrSplit(fs[2], ',')) {
    if (IsController(option)) host.v1.emplace(std::string(option), path);
  }
}

}  // namespace

absl::StatusOr<CgroupHost> ParseCgroupHost(absl::string_view mountinfo) {
  CgroupHost host;
  for (const bool whole : {true, false}) {
    for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
      AddMount(line, whole, host);
    }
  }
  if (host.unified.empty() && host.v1.empty()) {
    return absl::FailedPreconditionError(
        "find control groups: no hierarchy is mounted (mount one: "
        "mount -t cgroup2 none /sys/fs/cgroup)");
  }
  return host;
}

absl::StatusOr<CgroupHost> FindCgroupHost() {
  struct statfs fs;
  if (statfs(kUsualPlace, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
    CgroupHost host;
    host.unified = kUsualPlace;
    return host;
  }
  ASSIGN_OR_RETURN(const std::string mounts,
                   os::ReadFile("/proc/self/mountinfo", kMaxMountinfo));
  return ParseCgroupHost(mounts);
}

}  // namespace bulwark::engine::oci
