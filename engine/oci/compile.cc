#include "engine/oci/compile.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/isolators/isolators.h"
#include "engine/oci/config/names.h"
#include "engine/oci/mount_options.h"
#include "engine/plan/workdir.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

namespace bulwark::engine::oci {

using child::StepKind;

namespace {

// Made by the clone itself. The control group's is made once the process is in
// its groups, that of time is entered by executing.
constexpr uint64_t kByClone = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                              CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER;

void JoinCgroup(const CgroupRecord& cgroup, PlanBuilder& plan) {
  os::CgroupPaths paths;
  paths.unified = cgroup.unified;
  std::set<std::string> directories;
  for (const auto& [controller, path] : cgroup.v1) directories.insert(path);
  paths.v1.assign(directories.begin(), directories.end());
  AddCgroups(paths, Stage::kSources, plan);
}

// By path: before the clone those that only a new process is in, or that its
// own are to belong to; the rest by the process itself.
void JoinNamespace(const Namespace& ns, PlanBuilder& plan) {
  StepArgs open;
  open.slot = plan.NewSlot();
  open.str = ns.path;
  open.flags = O_RDONLY;
  open.blame = Blame::kSpec;
  plan.Add(Stage::kSources, StepKind::kOpen, absl::StrCat("open ", ns.path),
           open);
  StepArgs enter;
  enter.slot = open.slot;
  enter.value = ns.type;
  enter.blame = Blame::kSpec;
  const bool first = ns.type == CLONE_NEWUSER || ns.type == CLONE_NEWPID ||
                     ns.type == CLONE_NEWTIME;
  plan.Add(first ? Stage::kEnter : Stage::kNamespaces, StepKind::kSetns,
           absl::StrCat("enter namespace ", ns.path), enter);
}

void AddSync(Stage stage, uint64_t point, uint32_t flags, const char* label,
             PlanBuilder& plan) {
  StepArgs args;
  args.value = point;
  args.flags = flags;
  plan.Add(stage, StepKind::kSync, label, args);
}

void AddNamespaces(const Spec& spec, PlanBuilder& plan) {
  uint64_t& flags = plan.settings().clone_flags;
  flags = CLONE_PARENT;
  bool new_user = false;
  bool any_user = false;
  bool new_time = false;
  // The user namespace is entered last of those before the clone: the others
  // take rights of the host.
  const Namespace* user = nullptr;
  for (const Namespace& ns : spec.linux_.namespaces) {
    if (ns.type == CLONE_NEWUSER) {
      any_user = true;
      if (ns.path.empty()) new_user = true;
      user = &ns;
      if (!ns.path.empty()) continue;
    }
    if (!ns.path.empty()) {
      JoinNamespace(ns, plan);
    } else if ((ns.type & kByClone) != 0) {
      flags |= ns.type;
    } else {
      StepArgs args;
      args.value = ns.type;
      // After the group is joined, which AddCgroups does a stage earlier.
      plan.Add(Stage::kNamespaces, StepKind::kUnshare,
               absl::StrCat("create namespace of ", NamespaceFile(ns.type)),
               args);
      new_time = new_time || ns.type == CLONE_NEWTIME;
    }
    if (ns.type == CLONE_NEWNET && ns.path.empty()) {
      plan.Add(Stage::kNamespaces, StepKind::kLoopback, "bring up loopback");
    }
  }
  if (user != nullptr && !user->path.empty()) JoinNamespace(*user, plan);
  const bool offsets = !spec.linux_.time_offsets.empty();
  if (any_user) {
    if (new_user) {
      AddSync(Stage::kIdMaps, child::kSyncIdMaps, 0, "map ids", plan);
    }
    plan.Add(Stage::kIdMaps, StepKind::kRootIds,
             "become root of the user namespace");
  }
  if (offsets) {
    AddSync(Stage::kNamespaces, child::kSyncTimeOffsets, 0, "set time offsets",
            plan);
  }
  if (new_time) {
    plan.Add(Stage::kNamespaces, StepKind::kEnterTime, "enter time namespace");
  }
  if (!spec.hostname.empty()) {
    StepArgs args;
    args.str = spec.hostname;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kIdentity, StepKind::kHostname, "set host name", args);
  }
  if (!spec.domainname.empty()) {
    StepArgs args;
    args.str = spec.domainname;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kIdentity, StepKind::kDomainname, "set domain name", args);
  }
}

absl::Status AddRoot(const Spec& spec, PlanBuilder& plan) {
  StepArgs chdir;
  chdir.str = spec.root;
  chdir.blame = Blame::kSpec;
  plan.Add(Stage::kSources, StepKind::kChdir,
           absl::StrCat("open root file system ", spec.root), chdir);
  bool recursive = false;
  uint64_t propagation = MS_PRIVATE;
  if (!spec.linux_.rootfs_propagation.empty()) {
    propagation = PropagationFlag(spec.linux_.rootfs_propagation, &recursive);
    if (propagation == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "linux.rootfsPropagation: \"", spec.linux_.rootfs_propagation,
          "\" is not shared, slave, private or unbindable"));
    }
  }
  // What the host mounts later is to be seen inside only where that is asked
  // for; what the container mounts goes out only with "shared".
  StepArgs host;
  host.value = propagation == MS_SHARED || propagation == MS_SLAVE ? MS_SLAVE
                                                                   : MS_PRIVATE;
  plan.Add(Stage::kIsolateMounts, StepKind::kPrivateMounts,
           "cut propagation of mounts", host);
  plan.Add(Stage::kRoot, StepKind::kBindRoot, "bind root file system");
  if (propagation != MS_PRIVATE) {
    StepArgs args;
    args.slot = child::kSlotRoot;
    args.value = propagation;
    if (recursive) args.flags = child::kRecursive;
    plan.Add(Stage::kIdentity, StepKind::kPropagation,
             "set propagation of the root", args);
  }
  if (spec.root_read_only) {
    plan.Add(Stage::kSealRoot, StepKind::kRootReadOnly, "make root read-only");
  }
  plan.Add(Stage::kPivot, StepKind::kPivot, "change root");
  return absl::OkStatus();
}

void AddMasks(const Linux& l, PlanBuilder& plan) {
  for (const std::string& path : l.masked_paths) {
    StepArgs args;
    args.str = path;
    args.flags = child::kOptional;
    plan.Add(Stage::kMasks, StepKind::kMask, absl::StrCat("hide ", path), args);
  }
  for (const std::string& path : l.readonly_paths) {
    StepArgs args;
    args.str = path;
    args.flags = child::kOptional;
    args.value = MOUNT_ATTR_RDONLY;
    plan.Add(Stage::kMasks, StepKind::kReadOnly,
             absl::StrCat("make ", path, " read-only"), args);
  }
}

// Through a procfs of our own, which no image can have put something into.
void AddSysctls(const Linux& l, PlanBuilder& plan) {
  if (l.sysctl.empty()) return;
  StepArgs proc;
  proc.slot = plan.NewSlot();
  proc.str = "proc";
  plan.Add(Stage::kRoot, StepKind::kNewFs, "create proc", proc);
  for (const auto& [name, value] : l.sysctl) {
    StepArgs args;
    args.slot = proc.slot;
    args.str = "sys/" + name;
    // Dots separate, unless slashes do.
    if (name.find('/') == std::string::npos) {
      for (char& c : args.str) c = c == '.' ? '/' : c;
    }
    args.str2 = value;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kRoot, StepKind::kWrite,
             absl::StrCat("set sysctl ", name, " to \"", value, "\""), args);
  }
}

}  // namespace

bool HasNamespace(const Spec& spec, uint64_t type) {
  for (const Namespace& ns : spec.linux_.namespaces) {
    if (ns.type == type) return true;
  }
  return false;
}

absl::StatusOr<CompiledPlan> CompileCreate(const Spec& spec,
                                           const LaunchParts& parts) {
  if (!spec.process.has_value()) {
    return absl::InvalidArgumentError("process: is required");
  }
  PlanBuilder plan;
  JoinCgroup(parts.cgroup, plan);
  AddNamespaces(spec, plan);
  RETURN_IF_ERROR(AddRoot(spec, plan));
  RETURN_IF_ERROR(AddMounts(spec, parts, plan));
  AddDevices(spec, plan);
  AddMasks(spec.linux_, plan);
  AddSysctls(spec.linux_, plan);
  if (parts.has_hooks) {
    AddSync(Stage::kHooks, child::kSyncMounted, 0, "run hooks", plan);
  }
  const Process& process = *spec.process;
  if (process.args.empty() && parts.start_fifo.empty()) {
    return absl::InvalidArgumentError("process: is required");
  }
  if (spec.linux_.personality.has_value()) {
    StepArgs args;
    args.value = spec.linux_.personality->domain;
    plan.Add(Stage::kLimits, StepKind::kPersonality, "set personality", args);
  }
  plan.settings().terminal = process.terminal;
  AddMakeWorkdir(process.cwd, plan);
  AddProcess(process, parts.seccomp, parts.own_capabilities, plan);
  AddSync(Stage::kAwaitStart, child::kSyncReady,
          process.terminal ? uint32_t{child::kTerminal} : 0, "report", plan);
  if (!parts.start_fifo.empty()) {
    StepArgs fifo;
    fifo.slot = plan.NewSlot();
    fifo.str = parts.start_fifo;
    fifo.flags = O_RDWR | O_NOFOLLOW;
    plan.Add(Stage::kSources, StepKind::kOpen, "open start pipe", fifo);
    StepArgs error;
    error.slot = plan.NewSlot();
    error.str = parts.start_error;
    error.flags = O_WRONLY | O_NOFOLLOW;
    plan.Add(Stage::kSources, StepKind::kOpen, "open error file", error);
    StepArgs await;
    await.slot = fifo.slot;
    await.slot2 = error.slot;
    plan.Add(Stage::kAwaitStart, StepKind::kAwaitStart, "wait for the start",
             await);
  }
  return plan.Build();
}

absl::StatusOr<CompiledPlan> CompileExec(const Process& process,
                                         const JoinParts& parts) {
  if (process.args.empty()) {
    return absl::InvalidArgumentError("process.args: is empty");
  }
  PlanBuilder plan;
  plan.settings().clone_flags = CLONE_PARENT;
  JoinCgroup(parts.cgroup, plan);
  const auto enter = [&](Stage stage, uint64_t types, const char* label) {
    if (types == 0) return;
    StepArgs args;
    args.slot = child::kSlotInit;
    args.value = types;
    plan.Add(stage, StepKind::kSetnsPidfd, label, args);
  };
  enter(Stage::kEnter, parts.namespaces & ~uint64_t{CLONE_NEWCGROUP},
        "enter the container");
  enter(Stage::kNamespaces, parts.namespaces & CLONE_NEWCGROUP,
        "enter the control group namespace");
  StepArgs root;
  root.slot = child::kSlotRoot;
  plan.Add(Stage::kTerminal, StepKind::kOpenRoot, "open the container's root",
           root);
  if ((parts.namespaces & CLONE_NEWUSER) != 0) {
    plan.Add(Stage::kIdMaps, StepKind::kRootIds,
             "become root of the user namespace");
  }
  if (process.terminal) {
    plan.Add(Stage::kConsole, StepKind::kPty, "open terminal");
  }
  plan.settings().terminal = process.terminal;
  AddProcess(process, parts.seccomp, parts.own_capabilities, plan);
  AddSync(Stage::kAwaitStart, child::kSyncReady,
          process.terminal ? uint32_t{child::kTerminal} : 0, "report", plan);
  return plan.Build();
}

}  // namespace bulwark::engine::oci
