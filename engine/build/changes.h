// The instructions that change the configuration of an image that is made
// without a Dockerfile: `--change`.
#ifndef ENGINE_BUILD_CHANGES_H_
#define ENGINE_BUILD_CHANGES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/build/dockerfile.h"

namespace bulwark::engine::build {

// What the place of an error is called: the n-th change is line n.
inline constexpr char kChangeName[] = "--change";

// INVALID_ARGUMENT names the change that is no instruction, or one that makes
// files.
absl::StatusOr<std::vector<Instruction>> ParseChanges(
    const std::vector<std::string>& changes);

// Changes the configuration. ONBUILD triggers that it has are kept, not run.
absl::Status ApplyChanges(BuildContext* context,
                          const std::vector<Instruction>& changes,
                          StageImage* image);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_CHANGES_H_
