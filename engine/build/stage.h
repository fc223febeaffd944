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
        scope_(global),
        find_layers_(std::move(find_layers)) {}

  // Begins from `base`; runs its ONBUILD triggers, at the line of FROM.
  absl::Status Start(StageImage base, const Instruction& from);

  // Does one instruction. `step` is "3/7", for progress. An error begins with
  // file and line.
  absl::Status Execute(const Instruction& instruction, const std::string& step);

  const StageImage& image() const { return image_; }

 private:
  absl::Status Dispatch(const Instruction& instruction);
  absl::Status ApplyMetadata(const Instruction& instruction);
  absl::Status ApplyRun(const Instruction& instruction);
  absl::Status ApplyCopy(const Instruction& instruction);
  absl::Status ApplyArg(const Instruction& instruction);
  absl::Status ApplyEnv(const Instruction& instruction);
  absl::Status ApplyLabel(const Instruction& instruction);
  absl::Status ApplyExpose(const Instruction& instruction);
  absl::Status ApplyWorkdir(const Instruction& instruction);
  absl::Status ApplyVolume(const Instruction& instruction);
  absl::Status ApplyHealthcheck(const Instruction& instruction);
  absl::Status ApplyShell(const Instruction& instruction);
  absl::Status ApplyOnBuild(const Instruction& instruction);

  // Adds a layer made by `fill`, or found under the key made of `what` and the
  // image so far.
  absl::Status AddLayer(const std::string& what, const LayerFiller& fill);
  absl::StatusOr<CopyRequest> ReadCopy(const Instruction& instruction,
                                       const FileTree& below,
                                       std::string* from);
  absl::StatusOr<std::vector<std::string>> RunArgs(
      const Instruction& instruction) const;
  std::vector<std::string> ShellWords(const std::string& command) const;
  std::vector<std::string> CommandOf(const Instruction& instruction) const;
  std::string AbsolutePath(const std::string& path) const;
  std::string LayersKey() const;

  Lookup Variables() const;
  absl::StatusOr<std::string> ExpandText(absl::string_view text) const;
  absl::StatusOr<std::vector<std::string>> ExpandWords(
      const Instruction& instruction) const;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ReadPairs(
      const Instruction& instruction) const;

  BuildContext* const context_;
  GlobalScope* const global_;
  StageScope scope_;
  const FindLayers find_layers_;
  StageImage image_;
  bool command_set_ = false;  // by CMD in this stage
  std::string step_;
  // What the last instruction did, for history and progress.
  bool made_layer_ = false;
  bool cached_ = false;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_H_
