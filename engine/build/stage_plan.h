// Which stages a Dockerfile has, and which of them a target needs.
#ifndef ENGINE_BUILD_STAGE_PLAN_H_
#define ENGINE_BUILD_STAGE_PLAN_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"

namespace bulwark::engine::build {

// Where files or a base come from: exactly one is set, or none for the build
// context itself.
struct Source {
  int stage = -1;
  std::string context;  // the name of one that the user gave
  std::string image;    // its reference

  bool IsMainContext() const {
    return stage < 0 && context.empty() && image.empty();
  }
};

struct StagePlan {
  Instruction from;
  std::string name;  // of AS, lower case; or empty
  std::string base;  // image, "scratch", or empty if it is something else
  int base_stage = -1;
  std::string base_context;               // a named context in its place
  std::string platform;                   // of --platform
  std::vector<Instruction> instructions;  // after FROM
  bool needed = false;
  // The stages that must be there before: the base, and those that files are
  // taken from. Ascending.
  std::vector<int> needs;
};

struct BuildPlan {
  std::vector<StagePlan> stages;  // all of the file
  size_t target = 0;
  // The needed stages, each after those that it needs; the target is the last.
  std::vector<size_t> order;
};

// Splits the file at FROM and resolves names; ARG before the first FROM goes to
// `global`. `target` is a name or number (empty: the last). `contexts` are the
// names of further contexts, which go before stages and images of that name.
// INVALID_ARGUMENT with line and excerpt, also if stages need each other in a
// circle, or if there is no such target.
absl::StatusOr<BuildPlan> PlanBuild(const Dockerfile& file,
                                    const std::string& target,
                                    const std::set<std::string>& contexts,
                                    GlobalScope* global);

// What COPY --from, or from= of a mount, means: a stage by name (of several the
// last) or number, a named context, or else an image; empty is the build
// context. INVALID_ARGUMENT if there is no stage with that number.
absl::StatusOr<Source> ResolveSource(const std::vector<StagePlan>& stages,
                                     const std::set<std::string>& contexts,
                                     const std::string& from);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_PLAN_H_
