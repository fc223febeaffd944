// The process itself: account, directory, limits, rights, program.
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/capabilities.h"
#include "base/kernel_names.h"
#include "engine/isolators/isolators.h"
#include "engine/plan/workdir.h"

namespace bulwark::engine {

using child::StepKind;

namespace {

constexpr uint64_t kSoftOpenFiles = 1024;  // select(2) holds no more
constexpr uint64_t kHardOpenFiles = 524288;

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

constexpr uint64_t kBuild = kBaselineCapabilities | Bit(CAP_MKNOD) |
                            Bit(CAP_NET_RAW) | Bit(CAP_SETFCAP) |
                            Bit(CAP_SYS_CHROOT) | Bit(CAP_AUDIT_WRITE);

void AddLimit(int resource, const char* name, uint64_t soft, uint64_t hard,
              PlanBuilder& plan) {
  StepArgs args;
  args.flags = static_cast<uint32_t>(resource) | child::kOptional;
  args.value = soft;
  args.value2 = hard;
  plan.Add(Stage::kLimits, StepKind::kRlimit, absl::StrCat("set ", name), args);
}

std::string LimitText(uint64_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit);
}

// In the shim, whose rights are the host's, hard limits rise as far as they are
// wanted; the process itself then sets them, which no right is needed for.
void AddLimits(const ProcessInput& in, PlanBuilder& plan) {
  bool files = false;
  for (const Ulimit& ulimit : in.ulimits) {
    files = files || ulimit.resource == RLIMIT_NOFILE;
    StepArgs args;
    args.flags = static_cast<uint32_t>(ulimit.resource);
    args.value = ulimit.soft;
    args.value2 = ulimit.hard;
    args.blame = Blame::kSpec;
    const std::string label =
        absl::StrCat("set ulimit ", RlimitName(ulimit.resource), " to ",
                     LimitText(ulimit.soft), ":", LimitText(ulimit.hard));
    plan.Add(Stage::kLimits, StepKind::kRlimit, label, args);
    args.flags |= child::kRaiseHard;
    plan.Add(Stage::kSources, StepKind::kRlimit, label, args);
  }
  if (files) return;
  const uint64_t hard = std::min(kHardOpenFiles, in.max_open_files);
  AddLimit(RLIMIT_NOFILE, "limit of open files", std::min(kSoftOpenFiles, hard),
           hard, plan);
}

void AddRights(const ProcessInput& in, PlanBuilder& plan) {
  StepArgs caps;
  caps.value = (ProfileCapabilities(in.profile, in.own_capabilities) |
                (in.add_capabilities & in.own_capabilities)) &
               ~in.drop_capabilities;
  plan.Add(Stage::kBoundingSet, StepKind::kBoundingSet,
           "drop capabilities of the bounding set", caps);
  plan.Add(Stage::kIds, StepKind::kIds, "set user and groups");
  plan.Add(Stage::kCapabilities, StepKind::kCapabilities, "set capabilities",
           caps);
  const bool new_privileges = in.profile == SecurityProfile::kBuild ||
                              in.profile == SecurityProfile::kPrivileged;
  if (!new_privileges) {
    plan.Add(Stage::kNoNewPrivs, StepKind::kNoNewPrivs,
             "forbid new privileges");
  }
  plan.AddSeccomp(new_privileges ? Stage::kEarlySeccomp : Stage::kSeccomp,
                  in.seccomp);
}

}  // namespace

uint64_t ProfileCapabilities(SecurityProfile profile, uint64_t own) {
  switch (profile) {
    case SecurityProfile::kBaseline:
      return kBaselineCapabilities & own;
    case SecurityProfile::kRestricted:
      return 0;
    case SecurityProfile::kBuild:
      return kBuild & own;
    case SecurityProfile::kPrivileged:
      return own;
  }
  return 0;
}

uint64_t CapabilityMasks(const std::vector<std::string>& names) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    mask |= CapabilityMask(name).value_or(0);
  }
  return mask;
}

void AddProcess(const ProcessInput& in, PlanBuilder& plan) {
  StepArgs account;
  account.str = in.user;
  account.value = in.ids.size;
  account.blame = Blame::kSpec;
  plan.Add(Stage::kAccount, StepKind::kAccount,
           absl::StrCat("find user \"", in.user, "\""), account);
  if (in.profile == SecurityProfile::kRestricted) {
    StepArgs not_root;
    not_root.blame = Blame::kSpec;
    plan.Add(Stage::kAccount, StepKind::kNotRoot,
             "run as root under profile restricted (set `user` to another "
             "one, or `profile: baseline`)",
             not_root);
  }
  AddWorkdir(in.cwd, plan);
  StepArgs session;
  if (in.terminal) session.flags = child::kTerminal;
  plan.Add(Stage::kSession, StepKind::kSession, "start session", session);
  AddLimits(in, plan);
  AddRights(in, plan);
  plan.Add(Stage::kCloseFiles, StepKind::kCloseFiles, "close files");
  plan.AddExec(in.args, in.env);
}

namespace {

void AddLog(const LaunchInput& in, PlanSettings& settings) {
  const LogConfig& log = in.spec.log;
  switch (log.driver) {
    case LogDriver::kLocal:
      settings.log_driver = child::kLogLocal;
      return;
    case LogDriver::kJsonFile:
      settings.log_driver = child::kLogJsonFile;
      return;
    case LogDriver::kNone:
      settings.log_driver = child::kLogNone;
      return;
    case LogDriver::kJournald:
      break;
  }
  const std::string& name = log.name.empty() ? in.spec.id : log.name;
  settings.log_driver = child::kLogJournal;
  settings.log_socket = in.journal_socket;
  // As Docker names them.
  settings.log_fields = absl::StrCat("CONTAINER_ID=", in.spec.id.substr(0, 12),
                                     "\nCONTAINER_ID_FULL=", in.spec.id,
                                     "\nCONTAINER_NAME=", name,
                                     "\nSYSLOG_IDENTIFIER=", name, "\n");
}

}  // namespace

absl::StatusOr<CompiledPlan> CompileContainer(const LaunchInput& in) {
  PlanBuilder plan;
  PlanSettings& settings = plan.settings();
  settings.runtime_dir = in.runtime_dir;
  settings.state_dir = in.state_dir;
  settings.boot_id = in.boot_id;
  settings.oom_file = in.cgroup.oom_file;
  settings.log_file_bytes =
      static_cast<uint64_t>(std::max<int64_t>(0, in.spec.log.max_file_bytes));
  settings.log_files =
      static_cast<uint32_t>(std::clamp(in.spec.log.max_files, 1, 1000));
  AddLog(in, settings);
  settings.terminal = in.spec.terminal;
  settings.open_stdin = in.spec.open_stdin;
  AddCgroups(in.cgroup, Stage::kCgroups, plan);
  AddNamespaces(in, plan);
  AddOwners(in.spec.ids, in.spec.terminal, plan);
  AddRootfs(in, plan);
  AddFilesystems(in, plan);
  AddUserMounts(in, plan);
  AddSysctls(in.spec, plan);
  ProcessInput process;
  process.add_capabilities = CapabilityMasks(in.spec.add_capabilities);
  process.drop_capabilities = CapabilityMasks(in.spec.drop_capabilities);
  process.ids = in.spec.ids;
  process.args = in.spec.args;
  process.env = in.spec.env;
  process.user = in.spec.user;
  process.cwd = in.spec.cwd;
  process.terminal = in.spec.terminal;
  process.profile = in.spec.profile;
  process.seccomp = in.seccomp;
  process.own_capabilities = in.own_capabilities;
  process.max_open_files = in.max_open_files;
  process.ulimits = in.spec.ulimits;
  AddMakeWorkdir(process.cwd, plan);
  AddProcess(process, plan);
  if (in.spec.await_program) {
    StepArgs gate;
    gate.slot = child::kSlotGate;
    plan.Add(Stage::kCgroupGate, StepKind::kGate,
             "wait until the control groups are made", gate);
    plan.Add(Stage::kGate, StepKind::kGate, "wait until it may begin", gate);
  }
  return plan.Build();
}

namespace {

void AddEnter(Stage stage, uint64_t namespaces, PlanBuilder& plan) {
  StepArgs enter;
  enter.slot = child::kSlotInit;
  enter.value = namespaces;
  plan.Add(stage, StepKind::kSetnsPidfd, "enter the container", enter);
}

}  // namespace

absl::StatusOr<CompiledPlan> CompileExec(const ProcessInput& in,
                                         const os::CgroupPaths& cgroup) {
  PlanBuilder plan;
  plan.settings().terminal = in.terminal;
  AddCgroups(cgroup, Stage::kSources, plan);
  // The terminal belongs to nobody who could reach it, as long as we are not in
  // the container's user namespace: first the mounts, last the rest.
  AddEnter(Stage::kEnter, CLONE_NEWNS, plan);
  AddOwners(in.ids, in.terminal, plan);
  AddEnter(Stage::kEnterUser,
           CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
               (in.ids.size != 0 ? CLONE_NEWUSER : 0),
           plan);
  if (in.ids.size != 0) {
    plan.Add(Stage::kIdMaps, StepKind::kRootIds,
             "become root of the user namespace");
  }
  // By the child, once it is in the container's group: under systemd
  // (`nsdelegate`) nobody moves into a group from outside of his own namespace.
  StepArgs cgroups;
  cgroups.slot = child::kSlotInit;
  cgroups.value = CLONE_NEWCGROUP;
  plan.Add(Stage::kNamespaces, StepKind::kSetnsPidfd,
           "enter the control group namespace", cgroups);
  StepArgs root;
  root.slot = child::kSlotRoot;
  plan.Add(Stage::kTerminal, StepKind::kOpenRoot, "open the container's root",
           root);
  if (in.terminal) {
    StepArgs pty;
    pty.value = in.size.rows;
    pty.value2 = in.size.columns;
    plan.Add(Stage::kTerminal, StepKind::kPty, "open terminal", pty);
  }
  AddProcess(in, plan);
  return plan.Build();
}

}  // namespace bulwark::engine
