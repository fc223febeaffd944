// One stage of a Dockerfile: an image, changed by one instruction after the
// other.
#ifndef ENGINE_BUILD_STAGE_H_
#define ENGINE_BUILD_STAGE_H_

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
#include "engine/build/instruction_flags.h"
#include "engine/build/run_mounts.h"
#include "engine/build/run_step.h"
#include "engine/build/scope.h"
#include "engine/build/stage_metadata.h"

namespace bulwark::engine::build {

struct StageOptions {
  FindSource find_source;
  std::string name;  // for progress; empty: the file has only one
  bool use_cache = true;
};

// Thread-compatible.
class Stage {
 public:
  // Both are borrowed.
  Stage(BuildContext* context, GlobalScope* global, StageOptions options)
      : context_(context), global_(global), options_(std::move(options)) {}

  // Begins from `base`; runs its ONBUILD triggers, at the line of FROM.
  absl::Status Start(StageImage base, const Instruction& from);

  // Does one instruction. `step` is "3/7", for progress. An error begins with
  // file and line.
  absl::Status Execute(const Instruction& instruction, const std::string& step);

  // What it has become. After Start().
  StageImage image() const {
    StageImage image = image_;
    image.args = metadata_->scope().values();
    return image;
  }

 private:
  absl::Status Dispatch(const Instruction& instruction);
  absl::Status ApplyRun(const Instruction& instruction);
  absl::Status ApplyCopy(const Instruction& instruction);
  absl::Status ApplyWorkdir(const Instruction& instruction);

  // Adds a layer made by `fill`, or found under the key made of `what` and,
  // unless it is `independent` of it, the image so far.
  absl::Status AddLayer(const std::string& what, const LayerFiller& fill,
                        bool independent = false);
  void Report(absl::string_view status, absl::string_view output,
              bool is_error = false);
  absl::StatusOr<CopyRequest> ReadCopy(const Instruction& instruction,
                                       const CopyFlags& flags,
                                       const FileTree& below);
  absl::StatusOr<RunStep> ReadRun(const Instruction& instruction,
                                  const RunFlags& flags);
  absl::StatusOr<std::vector<std::string>> RunArgs(
      const Instruction& instruction, std::optional<std::string>* script) const;
  std::string LayersKey() const;

  BuildContext* const context_;
  GlobalScope* const global_;
  const StageOptions options_;
  StageImage image_;
  std::optional<StageMetadata> metadata_;  // from Start on
  StageSandbox sandbox_;
  std::string step_;
  // What the last instruction did, for history and progress.
  bool made_layer_ = false;
  bool cached_ = false;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_H_
