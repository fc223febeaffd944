// Which stages a Dockerfile has, and which of them a target needs.
#ifndef ENGINE_BUILD_STAGE_PLAN_H_
#define ENGINE_BUILD_STAGE_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"

namespace bulwark::engine::build {

struct StagePlan {
  Instruction from;
  std::string name;  // of AS, lower case; or empty
  std::string base;  // image, "scratch", or empty if it is a stage
  int base_stage = -1;
  std::string platform;                   // of --platform
  std::vector<Instruction> instructions;  // after FROM
  bool needed = false;
};

// Splits the file at FROM and resolves names; ARG before the first FROM goes
// to `global`. Stages that `target` (a name or number; empty: the last) does
// not need are not marked. INVALID_ARGUMENT with the line, or if there is no
// such target.
absl::StatusOr<std::vector<StagePlan>> PlanStages(const Dockerfile& file,
                                                  const std::string& target,
                                                  GlobalScope* global);

// The number of the stage that COPY --from means, among those before `before`;
// -1: it is an image.
int FindStage(const std::vector<StagePlan>& stages, const std::string& name,
              size_t before);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_PLAN_H_
