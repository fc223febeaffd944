// The process: account, directory, limits, rights, program.
#include <sched.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/oci/compile.h"
#include "engine/oci/config/names.h"
#include "engine/plan/workdir.h"

namespace bulwark::engine::oci {

using child::StepKind;

namespace {

// struct sched_attr as the kernel's first version has it (sched_setattr(2));
// its header does not go together with the C library's.
struct SchedAttr {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
static_assert(sizeof(SchedAttr) == 48);

template <typename T>
std::string BytesOf(const T* values, size_t count) {
  return std::string(reinterpret_cast<const char*>(values), count * sizeof(T));
}

void AddIds(const Process& process, PlanBuilder& plan) {
  StepArgs account;
  account.str = absl::StrCat(process.uid, ":", process.gid);
  account.blame = Blame::kSpec;
  plan.Add(Stage::kAccount, StepKind::kAccount,
           absl::StrCat("find user ", account.str), account);
  StepArgs ids;
  ids.flags = child::kGroups;
  if (process.capabilities.has_value()) ids.flags |= child::kKeepCapabilities;
  ids.value = process.additional_gids.size();
  ids.str =
      BytesOf(process.additional_gids.data(), process.additional_gids.size());
  ids.blame = Blame::kSpec;
  plan.AddBytes(Stage::kIds, StepKind::kIds,
                absl::StrCat("become user ", process.uid), ids);
  if (process.umask.has_value()) {
    StepArgs umask;
    umask.value = *process.umask;
    plan.Add(Stage::kLimits, StepKind::kUmask, "set umask", umask);
  }
}

// What we do not have cannot be given on: left out, as others do.
void AddCapabilities(const Process& process, uint64_t own, PlanBuilder& plan) {
  if (!process.capabilities.has_value()) return;
  const Capabilities& c = *process.capabilities;
  StepArgs bounding;
  bounding.value = c.bounding & own;
  plan.Add(Stage::kBoundingSet, StepKind::kBoundingSet,
           "drop capabilities of the bounding set", bounding);
  const uint64_t permitted = c.permitted & own;
  const uint64_t inheritable = c.inheritable & own;
  const uint64_t sets[4] = {c.effective & permitted, permitted, inheritable,
                            c.ambient & permitted & inheritable};
  StepArgs args;
  args.str = BytesOf(sets, 4);
  plan.AddBytes(Stage::kCapabilities, StepKind::kCapabilitySets,
                "set capabilities", args);
}

void AddLimits(const Process& process, PlanBuilder& plan) {
  for (const Rlimit& limit : process.rlimits) {
    StepArgs args;
    args.flags = static_cast<uint32_t>(limit.resource);
    args.value = limit.soft;
    args.value2 = limit.hard;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kLimits, StepKind::kRlimit,
             absl::StrCat("set ", RlimitName(limit.resource), " to ",
                          limit.soft, ":", limit.hard),
             args);
  }
  if (process.scheduler.has_value()) {
    const Scheduler& s = *process.scheduler;
    const SchedAttr attr = {sizeof(attr),
                            s.policy,
                            s.flags,
                            s.nice,
                            static_cast<uint32_t>(s.priority),
                            s.runtime,
                            s.deadline,
                            s.period};
    StepArgs args;
    args.str = BytesOf(&attr, 1);
    args.value = sizeof(attr);
    args.blame = Blame::kSpec;
    plan.AddBytes(Stage::kLimits, StepKind::kScheduler, "set scheduler", args);
  }
  if (process.io_priority.has_value()) {
    StepArgs args;
    args.value = static_cast<uint64_t>(*process.io_priority);
    args.blame = Blame::kSpec;
    plan.Add(Stage::kLimits, StepKind::kIoPriority, "set I/O priority", args);
  }
}

// Through a procfs of our own, whatever the image has at /proc.
void AddLabels(const Process& process, PlanBuilder& plan) {
  if (process.apparmor_profile.empty() && process.selinux_label.empty()) return;
  StepArgs proc;
  proc.slot = plan.NewSlot();
  proc.str = "proc";
  plan.Add(Stage::kRoot, StepKind::kNewFs, "create proc", proc);
  const auto write = [&](const char* file, const std::string& text,
                         const std::string& label) {
    StepArgs args;
    args.slot = proc.slot;
    args.str = file;
    args.str2 = text;
    args.blame = Blame::kSpec;
    plan.Add(Stage::kLimits, StepKind::kWrite, label, args);
  };
  if (!process.apparmor_profile.empty()) {
    write("thread-self/attr/apparmor/exec",
          absl::StrCat("exec ", process.apparmor_profile),
          absl::StrCat("set AppArmor profile ", process.apparmor_profile));
  }
  if (!process.selinux_label.empty()) {
    write("thread-self/attr/exec", process.selinux_label,
          absl::StrCat("set SELinux label ", process.selinux_label));
  }
}

}  // namespace

void AddProcess(const Process& process, const SeccompProgram& seccomp,
                uint64_t own_capabilities, PlanBuilder& plan) {
  plan.settings().terminal = process.terminal;
  AddIds(process, plan);
  AddWorkdir(process.cwd, plan);
  StepArgs session;
  if (process.terminal) session.flags = child::kTerminal;
  plan.Add(Stage::kSession, StepKind::kSession, "start session", session);
  AddLabels(process, plan);
  AddLimits(process, plan);
  if (!process.args.empty()) {
    StepArgs find;
    find.blame = Blame::kSpec;
    plan.Add(Stage::kLimits, StepKind::kFindProgram,
             absl::StrCat("execute \"", process.args[0], "\""), find);
  }
  AddCapabilities(process, own_capabilities, plan);
  if (process.no_new_privileges) {
    plan.Add(Stage::kNoNewPrivs, StepKind::kNoNewPrivs,
             "forbid new privileges");
  }
  plan.AddSeccomp(
      process.no_new_privileges ? Stage::kSeccomp : Stage::kEarlySeccomp,
      seccomp.instructions, seccomp.flags);
  plan.Add(Stage::kCloseFiles, StepKind::kCloseFiles, "close files");
  plan.AddExec(
      process.args.empty() ? std::vector<std::string>{""} : process.args,
      process.env);
}

}  // namespace bulwark::engine::oci
