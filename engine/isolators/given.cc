// Devices and settings of the kernel that the spec asks for.
#include <linux/mount.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/kernel_names.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

using child::StepKind;

// The host's own nodes, bound. In a user namespace those would be nobody's, so
// there a node of /dev is made anew, by the host's root, for every user of the
// container. What may be done with it, the group's filter says.
void AddDevices(const LaunchInput& in, int dev, PlanBuilder& plan) {
  const IdRange& ids = in.spec.ids;
  for (const DeviceMount& device : in.spec.devices) {
    const auto node = in.nodes.find(device.host_path);
    if (ids.size != 0 && node != in.nodes.end() &&
        absl::StartsWith(device.path, "/dev/")) {
      StepArgs make;
      make.slot = dev;
      make.str = device.path.substr(strlen("/dev"));
      make.str2 = absl::StrCat(ids.first, ":", ids.first);
      make.value = node->second.type | 0666;
      make.value2 = node->second.number;
      make.blame = Blame::kSpec;
      plan.Add(Stage::kDetachedMounts, StepKind::kMknod,
               absl::StrCat("make device ", device.path), make);
      continue;
    }
    StepArgs tree;
    tree.slot = plan.NewSlot();
    tree.str = device.host_path;
    tree.value = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    tree.blame = Blame::kSpec;
    plan.Add(Stage::kDetachedMounts, StepKind::kCloneTree,
             absl::StrCat("open device ", device.host_path, " of the host"),
             tree);
    StepArgs target;
    target.slot = tree.slot;
    target.str = device.path;
    target.blame = Blame::kSpec;
    plan.Add(Stage::kUserMounts, StepKind::kAttach,
             absl::StrCat("mount device on ", device.path), target);
  }
}

// Through a procfs of our own, which no image can have put something into. In
// the container's namespaces, and before capabilities are dropped: settings of
// the network check them.
void AddSysctls(const ContainerSpec& spec, PlanBuilder& plan) {
  if (spec.sysctls.empty()) return;
  StepArgs proc;
  proc.slot = plan.NewSlot();
  proc.str = "proc";
  plan.Add(Stage::kSystemMounts, StepKind::kNewFs, "create proc for sysctls",
           proc);
  for (const auto& [name, value] : spec.sysctls) {
    StepArgs args;
    args.slot = proc.slot;
    args.str = absl::StrCat("sys/", SysctlPath(name));
    args.str2 = value;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kSystemMounts, StepKind::kWrite,
             absl::StrCat("set sysctl ", name, " to \"", value, "\""), args);
  }
}

}  // namespace bulwark::engine
