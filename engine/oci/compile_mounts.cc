// Mounts and devices.
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/compile.h"
#include "engine/oci/mount_options.h"
#include "engine/plan/dev_links.h"

namespace bulwark::engine::oci {

using child::StepKind;

namespace {

constexpr uint64_t kPlain =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// Whether files of a new file system get the label of the mount. Those of the
// kernel have labels by its own rules, and mqueue refuses one.
bool TakesLabel(const std::string& type) {
  return type != "proc" && type != "sysfs" && type != "mqueue";
}

// An error if the launch plan cannot hold the option. What has commas, such as
// a label with categories, is in quotes there, and has to come in them.
absl::Status CheckOption(absl::string_view option) {
  const size_t equals = option.find('=');
  const absl::string_view name = option.substr(0, equals);
  absl::string_view value = equals == absl::string_view::npos
                                ? absl::string_view()
                                : option.substr(equals + 1);
  const bool quoted =
      value.size() >= 2 && value.front() == '"' && value.back() == '"';
  if (quoted) value = value.substr(1, value.size() - 2);
  if (option.size() <= 250 &&
      name.find_first_of(",\"") == absl::string_view::npos &&
      value.find_first_of(quoted ? "\"" : ",\"") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("option \"", option.substr(0, 60),
                   "\" has a comma or quote in it or is too long"));
}

// Adds the steps of mounts in the order of the configuration. What is bound is
// opened before anything is mounted, with the host's rights; a slot that is
// used for one mount only after the other is shared.
class MountCompiler {
 public:
  MountCompiler(const Spec& spec, const LaunchParts& parts, PlanBuilder& plan)
      : spec_(spec), parts_(parts), plan_(plan), shared_slot_(plan.NewSlot()) {}

  absl::Status Add(const Mount& mount) {
    absl::StatusOr<MountOptions> options = ParseMountOptions(mount.options);
    if (!options.ok()) return Annotate(options.status(), Where(mount));
    if (mount.type == "bind") return AddBind(mount, *options);
    if (mount.type == "cgroup") return AddCgroup(mount, *options);
    return AddNew(mount, *options);
  }
  int devpts_slot() const { return devpts_slot_; }

 private:
  static std::string Where(const Mount& mount) {
    return absl::StrCat("mount on ", mount.destination);
  }

  void Attach(int slot, const std::string& path, uint32_t flags = 0) {
    StepArgs args;
    args.slot = slot;
    args.str = path;
    args.flags = flags;
    args.blame = Blame::kSpec;
    plan_.Add(Stage::kUserMounts, StepKind::kAttach,
              absl::StrCat("mount on ", path), args);
  }

  void SetAttributes(Stage stage, int slot, uint64_t set, uint64_t clear,
                     bool recursive, const std::string& path) {
    if (set == 0 && clear == 0) return;
    StepArgs args;
    args.slot = slot;
    args.value = set;
    args.value2 = clear;
    if (recursive) args.flags = child::kRecursive;
    args.blame = Blame::kSpec;
    plan_.Add(stage, StepKind::kMountAttributes,
              absl::StrCat("set options of ", path), args);
  }

  void SetPropagation(Stage stage, int slot, const MountOptions& options,
                      const std::string& path) {
    if (options.propagation == 0) return;
    StepArgs args;
    args.slot = slot;
    args.value = options.propagation;
    if (options.recursive_propagation) args.flags = child::kRecursive;
    args.blame = Blame::kSpec;
    plan_.Add(stage, StepKind::kPropagation,
              absl::StrCat("set propagation of ", path), args);
  }

  absl::Status AddIdMap(const Mount& mount, const MountOptions& options,
                        int slot) {
    if (mount.uid_mappings.empty()) {
      if (!options.id_map) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          Where(mount), ": option idmap without uidMappings and gidMappings"));
    }
    if (next_namespace_ >= parts_.mount_namespaces.size()) {
      return absl::InternalError(
          absl::StrCat(Where(mount), ": no user namespace was made for it"));
    }
    StepArgs open;
    open.slot = plan_.NewSlot();
    open.str = parts_.mount_namespaces[next_namespace_++];
    open.flags = O_RDONLY;
    plan_.Add(Stage::kDetachedMounts, StepKind::kOpen,
              absl::StrCat("open ", open.str), open);
    StepArgs map;
    map.slot = slot;
    map.slot2 = open.slot;
    if (options.recursive_id_map) map.flags = child::kRecursive;
    map.blame = Blame::kSpec;
    plan_.Add(Stage::kDetachedMounts, StepKind::kIdMap,
              absl::StrCat("map ids of ", mount.destination), map);
    return absl::OkStatus();
  }

  absl::Status AddBind(const Mount& mount, const MountOptions& options) {
    StepArgs clone;
    clone.slot = plan_.NewSlot();
    clone.str = mount.source;
    if (options.recursive) clone.flags |= child::kRecursive;
    if (options.propagation != 0) clone.flags |= child::kKeepPropagation;
    clone.blame = Blame::kSpec;
    plan_.Add(Stage::kDetachedMounts, StepKind::kCloneTree,
              absl::StrCat("bind ", mount.source), clone);
    SetAttributes(Stage::kDetachedMounts, clone.slot, options.set,
                  options.clear, false, mount.destination);
    SetAttributes(Stage::kDetachedMounts, clone.slot, options.recursive_set,
                  options.recursive_clear, true, mount.destination);
    RETURN_IF_ERROR(AddIdMap(mount, options, clone.slot));
    Attach(clone.slot, mount.destination);
    SetPropagation(Stage::kUserMounts, clone.slot, options, mount.destination);
    return absl::OkStatus();
  }

  void NewFs(int slot, const std::string& type, std::string data,
             uint64_t attributes) {
    StepArgs args;
    args.slot = slot;
    args.str = type;
    args.str2 = std::move(data);
    args.value = attributes;
    args.blame = Blame::kSpec;
    plan_.Add(Stage::kUserMounts, StepKind::kNewFs,
              absl::StrCat("create ", type), args);
  }

  absl::Status AddNew(const Mount& mount, const MountOptions& options) {
    const bool devpts =
        mount.type == "devpts" && mount.destination == "/dev/pts";
    const int slot = devpts ? plan_.NewSlot() : shared_slot_;
    if (devpts) devpts_slot_ = slot;
    std::vector<std::string> data = options.data;
    if (!mount.source.empty() &&
        mount.source.find_first_of(",\"") == std::string::npos) {
      data.insert(data.begin(), absl::StrCat("source=", mount.source));
    }
    if (!spec_.linux_.mount_label.empty() && TakesLabel(mount.type)) {
      data.push_back(
          absl::StrCat("context=\"", spec_.linux_.mount_label, "\""));
    }
    for (const std::string& option : data) {
      const absl::Status status = CheckOption(option);
      if (!status.ok()) return Annotate(status, Where(mount));
    }
    // proc and sysfs show through: a link in the image must not move them.
    const bool kernels = mount.type == "proc" || mount.type == "sysfs";
    NewFs(slot, mount.type, absl::StrJoin(data, ","),
          options.set | options.recursive_set);
    if (options.copy_up) CopyUp(slot, mount.destination);
    Attach(slot, mount.destination, kernels ? uint32_t{child::kNoSymlinks} : 0);
    SetPropagation(Stage::kUserMounts, slot, options, mount.destination);
    return absl::OkStatus();
  }

  void CopyUp(int slot, const std::string& path) {
    StepArgs args;
    args.slot = slot;
    args.str = path;
    args.blame = Blame::kSpec;
    plan_.Add(Stage::kUserMounts, StepKind::kCopyUp,
              absl::StrCat("copy ", path, " into its tmpfs"), args);
  }

  // Of type "cgroup": what this host has. With a namespace of its own the
  // hierarchies show the container's groups as their roots; without one, those
  // groups are bound.
  absl::Status AddCgroup(const Mount& mount, const MountOptions& options) {
    const uint64_t attributes = options.set | options.recursive_set;
    const bool own = HasNamespace(spec_, CLONE_NEWCGROUP);
    const std::string& base = mount.destination;
    if (parts_.host.v1.empty()) {
      AddHierarchy(own, "cgroup2", "", parts_.cgroup.unified, attributes, base);
      return absl::OkStatus();
    }
    const int top = plan_.NewSlot();
    NewFs(top, "tmpfs", "mode=755,size=64k,nr_inodes=64", kPlain);
    Attach(top, base);
    std::map<std::string, std::vector<std::string>> hierarchies;
    for (const auto& [controller, path] : parts_.host.v1) {
      hierarchies[path].push_back(controller);
    }
    for (const auto& [path, controllers] : hierarchies) {
      const std::string names = absl::StrJoin(controllers, ",");
      const bool named = names.substr(0, 5) == "name=";
      const auto group = parts_.cgroup.v1.find(controllers.front());
      AddHierarchy(own, "cgroup", named ? absl::StrCat("none,", names) : names,
                   group == parts_.cgroup.v1.end() ? "" : group->second,
                   attributes,
                   absl::StrCat(base, "/", named ? names.substr(5) : names));
    }
    if (!parts_.host.unified.empty()) {
      AddHierarchy(own, "cgroup2", "", parts_.cgroup.unified, attributes,
                   absl::StrCat(base, "/unified"));
    }
    // Nothing can be mounted in it any more.
    SetAttributes(Stage::kUserMounts, top, attributes & MOUNT_ATTR_RDONLY, 0,
                  false, base);
    return absl::OkStatus();
  }

  void AddHierarchy(bool own, const char* type, const std::string& names,
                    const std::string& group, uint64_t attributes,
                    const std::string& path) {
    if (own) {
      NewFs(shared_slot_, type, names, attributes);
      Attach(shared_slot_, path);
      return;
    }
    if (group.empty()) return;  // the container is in no group of it
    StepArgs clone;
    clone.slot = plan_.NewSlot();
    clone.str = group;
    clone.value = attributes;
    plan_.Add(Stage::kDetachedMounts, StepKind::kCloneTree,
              absl::StrCat("bind ", group), clone);
    Attach(clone.slot, path);
  }

  const Spec& spec_;
  const LaunchParts& parts_;
  PlanBuilder& plan_;
  const int shared_slot_;
  int devpts_slot_ = child::kNoSlot;
  size_t next_namespace_ = 0;
};

// Whether /dev is the container's own, to be filled by us.
bool FillsDev(const Spec& spec) {
  for (const Mount& mount : spec.mounts) {
    if (mount.destination == "/dev" || mount.destination == "/dev/") {
      return mount.type != "bind";
    }
  }
  return true;
}

void AddNode(const Device& device, bool bind, PlanBuilder& plan) {
  StepArgs args;
  args.str = device.path;
  args.blame = Blame::kSpec;
  if (bind) {
    args.str2 = device.path;
    plan.Add(Stage::kUserMounts, StepKind::kBindHost,
             absl::StrCat("bind device ", device.path), args);
    return;
  }
  const mode_t type = device.type == 'b'   ? S_IFBLK
                      : device.type == 'p' ? S_IFIFO
                                           : S_IFCHR;
  args.value = type | device.file_mode;
  args.value2 = device.type == 'p'
                    ? 0
                    : makedev(static_cast<unsigned>(device.major),
                              static_cast<unsigned>(device.minor));
  args.str2 = absl::StrCat(device.uid, ":", device.gid);
  plan.Add(Stage::kUserMounts, StepKind::kMknod,
           absl::StrCat("make device ", device.path), args);
}

void AddTerminal(int devpts, PlanBuilder& plan) {
  StepArgs pty;
  pty.slot2 = devpts;
  plan.Add(Stage::kConsole, StepKind::kPty, "open terminal", pty);
  StepArgs console;
  console.slot = child::kSlotStdin;
  console.str = "/dev/console";
  console.flags = child::kNoSymlinks;
  plan.Add(Stage::kConsole, StepKind::kBindSlot, "mount on /dev/console",
           console);
}

}  // namespace

absl::Status AddMounts(const Spec& spec, const LaunchParts& parts,
                       PlanBuilder& plan) {
  MountCompiler mounts(spec, parts, plan);
  for (const Mount& mount : spec.mounts) RETURN_IF_ERROR(mounts.Add(mount));
  if (spec.process.has_value() && spec.process->terminal) {
    if (mounts.devpts_slot() == child::kNoSlot) {
      return absl::InvalidArgumentError(
          "process.terminal: needs a mount of type devpts on /dev/pts");
    }
    AddTerminal(mounts.devpts_slot(), plan);
  }
  return absl::OkStatus();
}

void AddDevices(const Spec& spec, PlanBuilder& plan) {
  if (!FillsDev(spec)) return;
  const bool bind = HasNamespace(spec, CLONE_NEWUSER);
  std::set<std::string> named;
  for (const Device& device : spec.linux_.devices) {
    named.insert(device.path);
    AddNode(device, bind && device.type != 'p', plan);
  }
  const Device defaults[] = {
      {"/dev/null", 'c', 1, 3},    {"/dev/zero", 'c', 1, 5},
      {"/dev/full", 'c', 1, 7},    {"/dev/random", 'c', 1, 8},
      {"/dev/urandom", 'c', 1, 9}, {"/dev/tty", 'c', 5, 0}};
  for (const Device& device : defaults) {
    if (named.count(device.path) == 0) AddNode(device, bind, plan);
  }
  AddDevLinks(Stage::kUserMounts, child::kOptional, plan);
}

}  // namespace bulwark::engine::oci
