// The root file system: an overlay of the image's layers.
#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {

using child::StepKind;

namespace {

int AddDirectory(Stage stage, const std::string& path, Blame blame, int slot,
                 PlanBuilder& plan) {
  StepArgs args;
  args.slot = slot;
  args.str = path;
  args.flags = O_PATH | O_DIRECTORY;
  args.blame = blame;
  plan.Add(stage, StepKind::kOpen, absl::StrCat("open ", path), args);
  return slot;
}

}  // namespace

void AddRootfs(const LaunchInput& in, PlanBuilder& plan) {
  std::vector<std::string> layers(in.spec.layers.rbegin(),
                                  in.spec.layers.rend());
  if (layers.empty()) layers.push_back(in.empty_layer);
  // Before Linux 6.13 layers must lie in the mount namespace that mounts, so
  // the child opens them by itself.
  const bool early = in.overlay_layer_fds;
  const Stage open = early ? Stage::kSources : Stage::kIsolateMounts;
  plan.Add(Stage::kIsolateMounts, StepKind::kPrivateMounts,
           "make mounts private");
  const int first = plan.NewSlot(static_cast<int>(layers.size()) + 2);
  int slot = first;
  for (const std::string& layer : layers) {
    AddDirectory(open, layer, Blame::kSpec, slot++, plan);
  }
  const int upper = AddDirectory(
      open, in.upper, in.spec.upper_dir.empty() ? Blame::kHost : Blame::kSpec,
      slot++, plan);
  const int work = AddDirectory(open, in.work, Blame::kHost, slot, plan);

  StepArgs overlay;
  overlay.slot2 = first;
  overlay.value = layers.size();
  overlay.value2 = static_cast<uint64_t>(upper) | static_cast<uint64_t>(work)
                                                      << 16;
  // A writable layer that dies with the container needs no syncs.
  if (in.spec.upper_dir.empty()) overlay.flags = child::kVolatile;
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
  if (in.spec.read_only_root) {
    plan.Add(Stage::kSealRoot, StepKind::kRootReadOnly, "make root read-only");
  }
  plan.Add(Stage::kPivot, StepKind::kPivot, "change root");
}

}  // namespace bulwark::engine
