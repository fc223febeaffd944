// Mounts that the spec asks for.
#include <fcntl.h>
#include <linux/mount.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

using child::StepKind;

namespace {

constexpr int64_t kDefaultTmpfsBytes = 64 << 20;

int64_t TmpfsBytes(const ContainerSpec& spec, const Mount& mount) {
  if (mount.size_bytes > 0) return mount.size_bytes;
  if (spec.resources.memory_limit_bytes > 0) {
    return spec.resources.memory_limit_bytes / 2;
  }
  return kDefaultTmpfsBytes;
}

// Through a descriptor of the host's mount, since the container's is read-only.
void AddOwner(const IdRange& ids, const Mount& mount, PlanBuilder& plan) {
  StepArgs source;
  source.slot = plan.NewSlot();
  source.str = mount.source;
  source.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
  plan.Add(Stage::kSources, StepKind::kOpen,
           absl::StrCat("open ", mount.source), source);
  if (ids.size != 0) {
    // Root of the user namespace can give away what is its own.
    StepArgs give;
    give.slot = source.slot;
    give.value = give.value2 = ids.first;
    plan.Add(Stage::kSources, StepKind::kGive,
             absl::StrCat("give ", mount.destination, " to the container"),
             give);
  }
  StepArgs owner;
  owner.slot = source.slot;
  plan.Add(Stage::kOwners, StepKind::kOwn,
           absl::StrCat("give ", mount.destination, " to the user"), owner);
}

}  // namespace

void AddUserMounts(const LaunchInput& in, PlanBuilder& plan) {
  // Parents before what lies below them, whatever the spec's order.
  std::vector<const Mount*> mounts;
  for (const Mount& mount : in.spec.mounts) mounts.push_back(&mount);
  std::stable_sort(mounts.begin(), mounts.end(),
                   [](const Mount* a, const Mount* b) {
                     return a->destination < b->destination;
                   });
  for (const Mount* mount : mounts) {
    StepArgs source;
    source.slot = plan.NewSlot();
    source.value = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                   (mount->read_only ? MOUNT_ATTR_RDONLY : 0) |
                   (mount->owned_by_user ? MOUNT_ATTR_NOEXEC : 0);
    if (mount->kind == Mount::Kind::kBind) {
      source.str = mount->source;
      source.flags = child::kRecursive;
      source.blame = Blame::kSpec;
      plan.Add(Stage::kDetachedMounts, StepKind::kCloneTree,
               absl::StrCat("bind ", mount->source, " of the host"), source);
      // What is the container's alone is given to it instead, since memory that
      // is never swapped may be of a kind whose ids cannot be mapped.
      if (!mount->owned_by_user) {
        AddIdMap(in.spec.ids, Stage::kDetachedMounts, source.slot,
                 /*recursive=*/true, mount->source, plan);
      }
    } else {
      source.str = "tmpfs";
      source.str2 = absl::StrFormat("mode=%o,size=%d", mount->mode & 07777,
                                    TmpfsBytes(in.spec, *mount));
      plan.Add(Stage::kUserMounts, StepKind::kNewFs,
               absl::StrCat("create tmpfs for ", mount->destination), source);
    }
    StepArgs target;
    target.slot = source.slot;
    target.str = mount->destination;
    target.blame = Blame::kSpec;
    plan.Add(Stage::kUserMounts, StepKind::kAttach,
             absl::StrCat("mount on ", mount->destination), target);
    if (mount->kind == Mount::Kind::kBind && mount->owned_by_user) {
      AddOwner(in.spec.ids, *mount, plan);
    }
  }
}

}  // namespace bulwark::engine
