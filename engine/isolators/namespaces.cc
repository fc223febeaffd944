// Namespaces and control groups.
#include <fcntl.h>
#include <sched.h>

#include "absl/strings/str_cat.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

using child::StepKind;

void AddCgroups(const os::CgroupPaths& paths, Stage stage, PlanBuilder& plan) {
  if (!paths.unified.empty()) {
    StepArgs unified;
    unified.slot = child::kSlotCgroup;
    unified.str = paths.unified;
    unified.flags = O_RDONLY | O_DIRECTORY;
    plan.Add(stage, StepKind::kOpen, absl::StrCat("open ", paths.unified),
             unified);
  }
  // The child cannot be cloned into a version 1 group: it joins by itself, and
  // as a task: a process of its own has no other, and for one that moves itself
  // the kernel need not stop all forks, which takes it some 10 ms
  // (cgroup.procs).
  for (const std::string& directory : paths.v1) {
    StepArgs procs;
    procs.slot = plan.NewSlot();
    procs.str = directory + "/tasks";
    procs.flags = O_WRONLY;
    plan.Add(stage, StepKind::kOpen, absl::StrCat("open ", procs.str), procs);
    StepArgs join;
    join.slot = procs.slot;
    plan.Add(Stage::kJoinCgroups, StepKind::kJoinCgroup,
             absl::StrCat("join ", directory), join);
  }
}

namespace {

int AddOpen(const std::string& path, PlanBuilder& plan) {
  StepArgs open;
  open.slot = plan.NewSlot();
  open.str = path;
  open.flags = O_RDONLY;
  open.blame = Blame::kSpec;
  plan.Add(Stage::kSources, StepKind::kOpen, absl::StrCat("open ", open.str),
           open);
  return open.slot;
}

// The child is cloned into it, so that its other namespaces belong to it; it
// becomes its root later, when no path of the host's root is needed any more.
void AddUserNamespace(const LaunchInput& in, int network, PlanBuilder& plan) {
  StepArgs owner;
  owner.slot = child::kSlotUser;
  if (network != child::kNoSlot) {
    owner.slot2 = network;
    owner.blame = Blame::kSpec;
    plan.Add(
        Stage::kSources, StepKind::kOwnerOf,
        absl::StrCat("find the user namespace of ", in.spec.network_namespace),
        owner);
  } else {
    owner.str = in.user_namespace;
    owner.flags = O_RDONLY;
    plan.Add(Stage::kSources, StepKind::kOpen, "open user namespace", owner);
  }
}

}  // namespace

void AddIdMap(const IdRange& ids, Stage stage, int slot, bool recursive,
              const std::string& path, PlanBuilder& plan) {
  if (ids.size == 0) return;
  StepArgs map;
  map.slot = slot;
  map.slot2 = child::kSlotUser;
  if (recursive) map.flags = child::kRecursive;
  map.blame = Blame::kSpec;
  plan.Add(stage, StepKind::kIdMap,
           absl::StrCat("map the ids of ", path,
                        " (a file system that cannot do that needs "
                        "`hostUsers: true`)"),
           map);
}

void AddOwners(const IdRange& ids, bool terminal, PlanBuilder& plan) {
  if (ids.size == 0) return;
  StepArgs streams;
  streams.value = ids.first;
  if (terminal) streams.flags = child::kTerminal;
  plan.Add(Stage::kEnterUser, StepKind::kGiveStreams,
           "give the streams to the container", streams);
}

void AddNamespaces(const LaunchInput& in, PlanBuilder& plan) {
  plan.settings().clone_flags =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
  int network = child::kNoSlot;
  if (in.spec.network_namespace.empty()) {
    plan.settings().clone_flags |= CLONE_NEWNET;
    plan.Add(Stage::kNamespaces, StepKind::kLoopback, "bring up loopback");
  } else {
    network = AddOpen(in.spec.network_namespace, plan);
    StepArgs enter;
    enter.slot = network;
    enter.value = CLONE_NEWNET;
    enter.blame = Blame::kSpec;
    plan.Add(
        Stage::kNamespaces, StepKind::kSetns,
        absl::StrCat("enter network namespace ", in.spec.network_namespace),
        enter);
  }
  if (in.spec.ids.size != 0) AddUserNamespace(in, network, plan);
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
