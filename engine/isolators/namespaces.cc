// Namespaces and control groups.
#include <fcntl.h>
#include <sched.h>

#include "absl/strings/str_cat.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

using child::StepKind;

void AddCgroups(const os::CgroupPaths& paths, PlanBuilder& plan) {
  if (!paths.unified.empty()) {
    StepArgs unified;
    unified.slot = child::kSlotCgroup;
    unified.str = paths.unified;
    unified.flags = O_RDONLY | O_DIRECTORY;
    plan.Add(Stage::kSources, StepKind::kOpen,
             absl::StrCat("open ", paths.unified), unified);
  }
  // The child cannot be cloned into a version 1 group: it joins by itself.
  for (const std::string& directory : paths.v1) {
    StepArgs procs;
    procs.slot = plan.NewSlot();
    procs.str = directory + "/cgroup.procs";
    procs.flags = O_WRONLY;
    plan.Add(Stage::kSources, StepKind::kOpen, absl::StrCat("open ", procs.str),
             procs);
    StepArgs join;
    join.slot = procs.slot;
    plan.Add(Stage::kJoinCgroups, StepKind::kJoinCgroup,
             absl::StrCat("join ", directory), join);
  }
}

void AddNamespaces(const LaunchInput& in, PlanBuilder& plan) {
  plan.settings().clone_flags =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
  if (in.spec.network_namespace.empty()) {
    plan.settings().clone_flags |= CLONE_NEWNET;
    plan.Add(Stage::kNamespaces, StepKind::kLoopback, "bring up loopback");
  } else {
    StepArgs open;
    open.slot = plan.NewSlot();
    open.str = in.spec.network_namespace;
    open.flags = O_RDONLY;
    open.blame = Blame::kSpec;
    plan.Add(Stage::kSources, StepKind::kOpen, absl::StrCat("open ", open.str),
             open);
    StepArgs enter;
    enter.slot = open.slot;
    enter.value = CLONE_NEWNET;
    enter.blame = Blame::kSpec;
    plan.Add(Stage::kNamespaces, StepKind::kSetns,
             absl::StrCat("enter network namespace ", open.str), enter);
  }
  StepArgs cgroup;
  cgroup.value = CLONE_NEWCGROUP;
  plan.Add(Stage::kNamespaces, StepKind::kUnshare, "create cgroup namespace",
           cgroup);
  if (!in.spec.hostname.empty()) {
    StepArgs hostname;
    hostname.str = in.spec.hostname;
    hostname.blame = Blame::kSpec;
    plan.Add(Stage::kIdentity, StepKind::kHostname, "set host name", hostname);
  }
}

}  // namespace bulwark::engine
