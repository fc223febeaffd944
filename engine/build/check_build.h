// Goes through a planned build without carrying anything out: what its images
// will say of themselves, and what is questionable.
#ifndef ENGINE_BUILD_CHECK_BUILD_H_
#define ENGINE_BUILD_CHECK_BUILD_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ignore_list.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"
#include "engine/build/stage_plan.h"
#include "engine/image/manifest.h"
#include "engine/image_build.h"

namespace bulwark::engine::build {

struct CheckInput {
  const Dockerfile* file = nullptr;  // all are borrowed
  const BuildPlan* plan = nullptr;
  const GlobalScope* global = nullptr;  // as PlanBuild left it
  // The arguments that the user gave.
  const std::map<std::string, std::string>* given = nullptr;
  image::Platform platform;
  const IgnoreList* ignored = nullptr;  // of the main context; null: none
  // What is known of a stage's base image; nothing: its variables and triggers
  // are not. May be null: no image is known.
  std::function<std::optional<image::ConfigFile>(const StagePlan& stage)> base;
};

struct CheckResult {
  std::vector<BuildWarning> warnings;  // by line
  // "error=true" was said and there are warnings: do not build.
  bool fail = false;
  // Of the needed stages; without layers, history and times.
  std::map<size_t, image::ConfigFile> configs;
};

// INVALID_ARGUMENT with line and excerpt if the build would fail for what the
// Dockerfile says, whatever files and images are there.
absl::StatusOr<CheckResult> CheckBuild(const CheckInput& input);

// The error for a result with `fail`: INVALID_ARGUMENT, with the warnings.
absl::Status LintError(const Dockerfile& file,
                       const std::vector<BuildWarning>& warnings);

// "Dockerfile:3: StageNameCasing: …" and the excerpt.
std::string FormatWarning(absl::string_view file, const BuildWarning& warning);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_CHECK_BUILD_H_
