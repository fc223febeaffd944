// The root file system: an overlay of the image's layers.
#include <fcntl.h>

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/isolators/isolators.h"
#include "os/bare_mounts.h"

namespace bulwark::engine {

using child::StepKind;

namespace {

void AddDirectory(Stage stage, const std::string& path, Blame blame, int slot,
                  PlanBuilder& plan) {
  StepArgs args;
  args.slot = slot;
  args.str = path;
  args.flags = O_PATH | O_DIRECTORY;
  args.blame = blame;
  plan.Add(stage, StepKind::kOpen, absl::StrCat("open ", path), args);
}

// A path cut into the directory that is mapped for it and the rest.
std::pair<std::string, std::string> Split(const std::string& path,
                                          const LaunchInput& in) {
  const std::string& shared_root = in.shared_root;
  if (in.mounted_layers.contains(path)) return {path, "."};
  if (!shared_root.empty() && absl::StartsWith(path, shared_root + "/")) {
    return {shared_root, path.substr(shared_root.size() + 1)};
  }
  const size_t end = path.find_last_not_of('/') + 1;
  const size_t slash = path.rfind('/', end - 1);
  return {slash == 0 ? "/" : path.substr(0, slash),
          path.substr(slash + 1, end - slash - 1)};
}

// Layers, topmost first, then the upper directory and overlay's own, all below
// id-mapped copies of mounts: one for all that share a root, and one for each
// other directory that they are in. Each such copy is a change of the kernel's
// table of mounts, which waits for all processors when it is dropped. The
// writable layer is mapped too, so that it holds the ids that the container
// sees, and any reader finds the image's.
void AddMappedOverlay(const LaunchInput& in, StepArgs overlay,
                      const std::vector<std::string>& paths,
                      PlanBuilder& plan) {
  std::map<std::string, int> trees;
  std::map<std::string, std::string> firsts;  // for messages
  for (const std::string& path : paths) {
    const std::string directory = Split(path, in).first;
    trees[directory] = 0;
    firsts.emplace(directory, path);
  }
  const int first_tree = plan.NewSlot(static_cast<int>(trees.size()));
  int next = first_tree;
  for (auto& [directory, slot] : trees) {
    StepArgs tree;
    tree.slot = slot = next++;
    tree.str = directory;
    tree.blame = Blame::kSpec;
    plan.Add(Stage::kSources, StepKind::kCloneTree,
             absl::StrCat("open the directory of ", firsts[directory]), tree);
    AddIdMap(in.spec.ids, Stage::kSources, slot, /*recursive=*/false, directory,
             plan);
  }
  const int count = static_cast<int>(paths.size());
  overlay.slot2 = plan.NewSlot(count);
  for (int i = 0; i < count; ++i) {
    const auto [directory, name] = Split(paths[i], in);
    StepArgs open;
    open.slot = overlay.slot2 + i;
    open.slot2 = trees[directory];
    open.str = name;
    open.flags = O_PATH | O_DIRECTORY | child::kNoSymlinks;
    open.blame = Blame::kSpec;
    plan.Add(Stage::kSources, StepKind::kOpen, absl::StrCat("open ", paths[i]),
             open);
  }
  const uint64_t upper = overlay.slot2 + count - 2;
  overlay.slot = plan.NewSlot();
  overlay.value2 =
      upper | (upper + 1) << 16 | uint64_t{in.spec.ids.first} << 32;
  StepKind kind = StepKind::kOverlay;
  std::string stage = in.stage;
  if (in.overlay_detached_layers && !in.bare_mounts.empty()) {
    stage = os::kBareStage;
    StepArgs mounts;
    mounts.slot = child::kSlotMounts;
    mounts.str = in.bare_mounts;
    mounts.flags = O_RDONLY | O_NONBLOCK;
    plan.Add(Stage::kSources, StepKind::kOpen, "open the bare mount namespace",
             mounts);
  }
  if (!in.overlay_detached_layers) {
    kind = StepKind::kMappedOverlay;
    overlay.str = in.stage;
    overlay.flags |= static_cast<uint32_t>(trees.size());
  }
  plan.Add(Stage::kDetachedMounts, kind, "mount overlay", overlay);
  StepArgs root;
  root.slot = overlay.slot;
  root.str = stage;
  plan.Add(Stage::kRoot, StepKind::kAttachRoot,
           absl::StrCat("attach root on ", stage), root);
  // Not before: a stage among the host's mounts is in reach of its root alone.
  plan.Add(Stage::kRoot, StepKind::kRootIds,
           "become root of the user namespace");
}

void AddOverlay(const LaunchInput& in, StepArgs overlay,
                const std::vector<std::string>& paths, PlanBuilder& plan) {
  // Before Linux 6.13 layers must lie in the mount namespace that mounts, so
  // the child opens them by itself.
  const bool early = in.overlay_layer_fds;
  const Stage open = early ? Stage::kSources : Stage::kIsolateMounts;
  const int count = static_cast<int>(paths.size());
  overlay.slot2 = plan.NewSlot(count);
  for (int i = 0; i < count; ++i) {
    const bool ours =
        i == count - 1 || (i == count - 2 && in.spec.upper_dir.empty());
    AddDirectory(open, paths[i], ours ? Blame::kHost : Blame::kSpec,
                 overlay.slot2 + i, plan);
  }
  const uint64_t upper = overlay.slot2 + count - 2;
  overlay.value2 = upper | (upper + 1) << 16;
  StepArgs root;
  root.str = in.stage;
  if (early) {
    root.slot = overlay.slot = plan.NewSlot();
    plan.Add(Stage::kDetachedMounts, StepKind::kOverlay, "mount overlay",
             overlay);
  } else {
    overlay.str = in.stage;
    plan.Add(Stage::kIsolateMounts, StepKind::kLegacyOverlay, "mount overlay",
             overlay);
  }
  plan.Add(Stage::kRoot, StepKind::kAttachRoot,
           absl::StrCat("attach root on ", in.stage), root);
}

}  // namespace

void AddRootfs(const LaunchInput& in, PlanBuilder& plan) {
  std::vector<std::string> paths(in.spec.layers.rbegin(),
                                 in.spec.layers.rend());
  StepArgs overlay;
  overlay.value = paths.size();
  // A writable layer that dies with the container needs no syncs.
  if (in.spec.upper_dir.empty()) overlay.flags = child::kVolatile;
  paths.push_back(in.upper);
  paths.push_back(in.work);
  plan.Add(Stage::kIsolateMounts, StepKind::kPrivateMounts,
           "make mounts private");
  if (in.spec.ids.size != 0) {
    AddMappedOverlay(in, overlay, paths, plan);
  } else {
    AddOverlay(in, overlay, paths, plan);
  }
  if (in.spec.read_only_root ||
      in.spec.profile == SecurityProfile::kRestricted) {
    plan.Add(Stage::kSealRoot, StepKind::kRootReadOnly, "make root read-only");
  }
  plan.Add(Stage::kPivot, StepKind::kPivot, "change root");
}

}  // namespace bulwark::engine
