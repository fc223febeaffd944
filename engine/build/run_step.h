// RUN: one command in a container whose writable layer becomes an image layer.
#ifndef ENGINE_BUILD_RUN_STEP_H_
#define ENGINE_BUILD_RUN_STEP_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/build/build_context.h"
#include "engine/engine.h"

namespace bulwark::engine::build {

struct RunStep {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::string user;
  bool network = true;
};

// Runs the command above the stage's layers and waits for its end; its output
// goes to `print`, line by line. INVALID_ARGUMENT if it fails, with its exit
// status. The container is gone afterwards, whatever happened.
absl::Status RunInContainer(
    BuildContext* context, const StageImage& stage, const RunStep& step,
    const std::string& upper_dir,
    const std::function<void(absl::string_view)>& print);

// Ends and forgets the containers of builds that a crash interrupted. Call
// after Engine::Recover and before the image store is opened.
absl::Status RemoveAbandonedBuilds(Engine* engine);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_RUN_STEP_H_
