// RUN: one command in a container whose writable layer becomes an image layer.
#ifndef ENGINE_BUILD_RUN_STEP_H_
#define ENGINE_BUILD_RUN_STEP_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/build/build_context.h"
#include "engine/engine.h"

namespace bulwark::engine::build {

struct RunStep {
  enum class Network { kDefault, kNone, kHost };

  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::string user;
  Network network = Network::kDefault;
  bool insecure = false;  // with all that the daemon may
  std::vector<Mount> mounts;

  // The network of the host belongs to its users, and so must who enters it;
  // who may do everything is not to be kept from the host's devices.
  bool HasHostUsers() const { return insecure || network == Network::kHost; }
};

// What the containers of a stage share, once a step has wanted it.
struct StageSandbox {
  std::optional<BuildUsers> users;
  std::optional<BuildNetwork> network;
};

// The ids of a step's own users; size 0: it has the host's.
absl::StatusOr<IdRange> IdsFor(BuildContext* context, const RunStep& step,
                               StageSandbox* sandbox);

// A line of the command's output.
using PrintLine = std::function<void(absl::string_view line, bool is_error)>;

// Runs the command above the stage's layers and waits for its end; its output
// goes to `print`, line by line. INVALID_ARGUMENT if it fails, with its exit
// status. The container is gone afterwards, whatever happened. `sandbox` gets
// what the step wants and is not there yet.
absl::Status RunInContainer(BuildContext* context, const StageImage& stage,
                            const RunStep& step, const std::string& upper_dir,
                            StageSandbox* sandbox, const PrintLine& print);

// Ends and forgets the containers of builds that a crash interrupted. Call
// after Engine::Recover and before the image store is opened.
absl::Status RemoveAbandonedBuilds(Engine* engine);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_RUN_STEP_H_
