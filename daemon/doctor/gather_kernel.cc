// The kernel, its control groups and namespaces.
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/unique_fd.h"
#include "daemon/doctor/gather.h"
#include "daemon/doctor/subordinate_ids.h"
#include "os/cgroup.h"
#include "os/kernel.h"
#include "os/user_namespace.h"

namespace bulwark::daemon {
namespace {

bool CanReach(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

void GatherCgroups(const Config& config, HostFacts& facts) {
  const auto layout = os::ParseCgroupLayout(SmallFile("/proc/self/mountinfo"));
  if (!layout.ok()) {
    facts.cgroup_error = std::string(layout.status().message());
    return;
  }
  for (const auto& [controller, path] : layout->v1) {
    facts.v1_controllers.insert(controller);
  }
  const std::string controllers = SmallFile(absl::StrCat(
      layout->unified, "/", config.instance, "/cgroup.controllers"));
  for (absl::string_view name : absl::StrSplit(
           absl::StripAsciiWhitespace(controllers), ' ', absl::SkipEmpty())) {
    facts.v2_controllers.emplace(name);
  }
  const std::string own = SmallFile("/proc/self/cgroup");
  for (absl::string_view line : absl::StrSplit(own, '\n')) {
    if (absl::ConsumePrefix(&line, "0::")) facts.own_cgroup = std::string(line);
  }
}

}  // namespace

void GatherKernel(const Config& config, HostFacts& facts) {
  utsname name;
  if (uname(&name) == 0) facts.kernel = name.release;
  facts.max_kernel = config.max_kernel;
  const auto features = os::ProbeKernel(config.max_kernel);
  facts.overlay_layer_fds = features.ok() && features->overlay_layer_fds;
  facts.overlay =
      UniqueFd(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)))
          .ok();
  for (const char* space :
       {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
    if (!CanReach(absl::StrCat("/proc/self/ns/", space))) {
      facts.missing_namespaces.insert(space);
    }
  }
  facts.max_user_namespaces = NumberIn("/proc/sys/user/max_user_namespaces");
  if (config.id_base == 0) {
    facts.host_users = "--id-base is 0";
  } else {
    for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
      for (std::string& overlap : SubordinateOverlaps(
               path, SmallFile(path), static_cast<uint64_t>(config.id_base),
               uint64_t{kEndOfIds})) {
        facts.shared_ids.push_back(std::move(overlap));
      }
    }
    facts.host_users =
        std::string(os::CheckUserNamespaces(config.state_dir).message());
  }
  // With psi=0 the files are there, and cannot be opened.
  facts.pressure = !SmallFile("/proc/pressure/memory").empty();
  GatherCgroups(config, facts);
}

}  // namespace bulwark::daemon
