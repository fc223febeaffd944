// One stage of a Dockerfile: an image, changed by one instruction after the
// other.
#ifndef ENGINE_BUILD_STAGE_H_
#define ENGINE_BUILD_STAGE_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/build_context.h"
#include "engine/build/copy_step.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"
#include "engine/build/stage_metadata.h"

namespace bulwark::engine::build {

// The layers behind a name in COPY --from: an earlier stage, or an image.
using FindLayers = std::function<absl::StatusOr<std::vector<std::string>>(
    const std::string& name)>;

// Thread-compatible.
class Stage {
 public:
  // All are borrowed.
  Stage(BuildContext* context, GlobalScope* global, FindLayers find_layers)
      : context_(context),
        global_(global),
        find_layers_(std::move(find_layers)) {}

  // Begins from `base`; runs its ONBUILD triggers, at the line of FROM.
  absl::Status Start(StageImage base, const Instruction& from);

  // Does one instruction. `step` is "3/7", for progress. An error begins with
  // file and line.
  absl::Status Execute(const Instruction& instruction, const std::string& step);

  const StageImage& image() const { return image_; }

 private:
  absl::Status Dispatch(const Instruction& instruction);
  absl::Status ApplyRun(const Instruction& instruction);
  absl::Status ApplyCopy(const Instruction& instruction);
  absl::Status ApplyWorkdir(const Instruction& instruction);

  // Adds a layer made by `fill`, or found under the key made of `what` and the
  // image so far.
  absl::Status AddLayer(const std::string& what, const LayerFiller& fill);
  absl::StatusOr<CopyRequest> ReadCopy(const Instruction& instruction,
                                       const FileTree& below,
                                       std::string* from);
  absl::StatusOr<std::vector<std::string>> RunArgs(
      const Instruction& instruction) const;
  std::string LayersKey() const;

  BuildContext* const context_;
  GlobalScope* const global_;
  const FindLayers find_layers_;
  StageImage image_;
  std::optional<StageMetadata> metadata_;  // from Start on
  std::string step_;
  // What the last instruction did, for history and progress.
  bool made_layer_ = false;
  bool cached_ = false;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_H_
