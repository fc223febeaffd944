// What every container finds in /proc, /sys, /dev and /etc.
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/isolators/isolators.h"
#include "engine/plan/dev_links.h"

namespace bulwark::engine {

using child::StepKind;

namespace {

constexpr uint64_t kPlain =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// The list that Docker and Kubernetes hide or protect, and what has leaked
// the host's secrets since.
constexpr const char* kMasked[] = {"/proc/acpi",
                                   "/proc/asound",
                                   "/proc/interrupts",
                                   "/proc/kcore",
                                   "/proc/keys",
                                   "/proc/latency_stats",
                                   "/proc/sched_debug",
                                   "/proc/scsi",
                                   "/proc/timer_list",
                                   "/proc/timer_stats",
                                   "/sys/devices/virtual/powercap",
                                   "/sys/firmware"};
constexpr const char* kProtected[] = {"/proc/bus", "/proc/fs", "/proc/irq",
                                      "/proc/sys", "/proc/sysrq-trigger"};

struct Device {
  const char* name;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"null", 1, 3},    {"zero", 1, 5},
                               {"full", 1, 7},    {"random", 1, 8},
                               {"urandom", 1, 9}, {"tty", 5, 0}};

int64_t ShmBytes(const ContainerSpec& spec) {
  return spec.shm_bytes > 0 ? spec.shm_bytes : int64_t{64} << 20;
}

// Returns the mount's slot.
int AddNewFs(PlanBuilder& plan, Stage make, Stage attach, const char* type,
             std::string options, uint64_t attributes,
             const std::string& path) {
  StepArgs args;
  args.slot = plan.NewSlot();
  args.str = type;
  args.str2 = std::move(options);
  args.value = attributes;
  plan.Add(make, StepKind::kNewFs, absl::StrCat("create ", type), args);
  StepArgs target;
  target.slot = args.slot;
  target.str = path;
  target.flags = child::kNoSymlinks;
  target.blame = Blame::kSpec;  // the image has a link or a file there
  plan.Add(attach, StepKind::kAttach,
           absl::StrCat("mount ", type, " on ", path), target);
  return args.slot;
}

void AddSystemFs(PlanBuilder& plan, const char* type, std::string options,
                 uint64_t attributes, const std::string& path) {
  AddNewFs(plan, Stage::kSystemMounts, Stage::kSystemMounts, type,
           std::move(options), attributes, path);
}

// The container's own groups, as the root of its cgroup namespace.
void AddCgroupFs(const os::CgroupLayout& layout, uint64_t attributes,
                 PlanBuilder& plan) {
  if (layout.v1.empty()) {
    AddSystemFs(plan, "cgroup2", "", attributes, "/sys/fs/cgroup");
    return;
  }
  AddSystemFs(plan, "tmpfs", "mode=755,size=64k,nr_inodes=64", kPlain,
              "/sys/fs/cgroup");
  std::map<std::string, std::vector<std::string>> mounts;
  for (const auto& [controller, path] : layout.v1) {
    mounts[path].push_back(controller);
  }
  for (const auto& [path, controllers] : mounts) {
    const std::string names = absl::StrJoin(controllers, ",");
    AddSystemFs(plan, "cgroup", names, attributes,
                absl::StrCat("/sys/fs/cgroup/", names));
  }
  AddSystemFs(plan, "cgroup2", "", attributes, "/sys/fs/cgroup/unified");
}

// A container that may make device nodes gets bind mounts on a tmpfs where
// nodes do not work, the others real nodes, which are faster to make.
void AddUsualDevices(const ContainerSpec& spec, int dev, PlanBuilder& plan) {
  for (const Device& device : kDevices) {
    const std::string path = absl::StrCat("/dev/", device.name);
    StepArgs args;
    if (spec.ids.size != 0) {
      // By the host's root: no other user namespace's may make one.
      args.slot = dev;
      args.str = absl::StrCat("/", device.name);
      args.str2 = absl::StrCat(spec.ids.first, ":", spec.ids.first);
      args.value = S_IFCHR | 0666;
      args.value2 = makedev(device.major, device.minor);
      plan.Add(Stage::kDetachedMounts, StepKind::kMknod,
               absl::StrCat("make ", path), args);
      continue;
    }
    if (spec.profile == SecurityProfile::kBuild) {
      args.str = path;
      args.str2 = path;
      args.flags = child::kNoSymlinks;
      plan.Add(Stage::kDeviceNodes, StepKind::kBindHost,
               absl::StrCat("bind ", path), args);
      continue;
    }
    args.str = path;
    args.value = S_IFCHR | 0666;
    args.value2 = makedev(device.major, device.minor);
    plan.Add(Stage::kDeviceNodes, StepKind::kMknod, absl::StrCat("make ", path),
             args);
  }
  AddDevLinks(Stage::kDeviceNodes, 0, plan);
}

// With a user namespace it is the host's, as devices work in no other, and made
// in the shim. Returns its slot.
int AddDevFs(const ContainerSpec& spec, PlanBuilder& plan) {
  const bool own_users = spec.ids.size != 0;
  std::string options = "mode=755,size=64k";
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  if (own_users) {
    absl::StrAppend(&options, ",uid=", spec.ids.first, ",gid=", spec.ids.first);
  } else if (spec.profile == SecurityProfile::kBuild) {
    attributes |= MOUNT_ATTR_NODEV;
  }
  return AddNewFs(
      plan, own_users ? Stage::kDetachedMounts : Stage::kSystemMounts,
      Stage::kSystemMounts, "tmpfs", std::move(options), attributes, "/dev");
}

void AddEtcFile(const LaunchInput& in, const std::string& name,
                PlanBuilder& plan) {
  StepArgs tree;
  tree.slot = plan.NewSlot();
  tree.str = absl::StrCat(in.etc, "/", name);
  tree.value = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  plan.Add(Stage::kDetachedMounts, StepKind::kCloneTree,
           absl::StrCat("open ", tree.str), tree);
  StepArgs target;
  target.slot = tree.slot;
  target.str = absl::StrCat("/etc/", name);
  target.blame = Blame::kSpec;
  plan.Add(Stage::kUserMounts, StepKind::kAttach,
           absl::StrCat("mount ", target.str), target);
}

}  // namespace

void AddFilesystems(const LaunchInput& in, PlanBuilder& plan) {
  const IdRange& ids = in.spec.ids;
  const bool privileged = in.spec.profile == SecurityProfile::kPrivileged;
  const uint64_t read_only = privileged ? 0 : MOUNT_ATTR_RDONLY;
  AddSystemFs(plan, "proc", "", kPlain, "/proc");
  AddSystemFs(plan, "sysfs", "", kPlain | read_only, "/sys");
  AddCgroupFs(in.cgroup_layout, kPlain | read_only, plan);

  const int dev = AddDevFs(in.spec, plan);
  // Made in the shim, which opens the terminal on it.
  const int devpts =
      AddNewFs(plan, Stage::kDetachedMounts, Stage::kSystemMounts, "devpts",
               absl::StrCat("mode=620,ptmxmode=666,gid=", ids.first + 5),
               MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "/dev/pts");
  AddSystemFs(plan, "mqueue", "", kPlain, "/dev/mqueue");
  AddSystemFs(plan, "tmpfs", absl::StrCat("mode=1777,size=", ShmBytes(in.spec)),
              kPlain, "/dev/shm");
  AddUsualDevices(in.spec, dev, plan);
  AddDevices(in, dev, plan);
  if (in.spec.terminal) {
    StepArgs pty;
    pty.slot2 = devpts;
    pty.value = in.spec.terminal_size.rows;
    pty.value2 = in.spec.terminal_size.columns;
    plan.Add(Stage::kTerminal, StepKind::kPty, "open terminal", pty);
  }

  AddEtcFile(in, "hosts", plan);
  if (!in.spec.nameservers.empty() || !in.spec.search_domains.empty()) {
    AddEtcFile(in, "resolv.conf", plan);
  }
  if (!in.spec.hostname.empty()) AddEtcFile(in, "hostname", plan);

  if (privileged) return;
  for (const char* path : kMasked) {
    StepArgs args;
    args.str = path;
    args.flags = child::kOptional | child::kNoSymlinks;
    plan.Add(Stage::kMasks, StepKind::kMask, absl::StrCat("hide ", path), args);
  }
  for (const char* path : kProtected) {
    StepArgs args;
    args.str = path;
    args.flags = child::kOptional | child::kNoSymlinks;
    args.value = kPlain | MOUNT_ATTR_RDONLY;
    plan.Add(Stage::kMasks, StepKind::kReadOnly,
             absl::StrCat("make ", path, " read-only"), args);
  }
}

}  // namespace bulwark::engine
