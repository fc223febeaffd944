#include "engine/build/changes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/scope.h"
#include "engine/build/stage.h"

namespace bulwark::engine::build {
namespace {

constexpr const char* kAllowed[] = {
    "CMD",     "ENTRYPOINT", "ENV",        "EXPOSE", "HEALTHCHECK", "LABEL",
    "ONBUILD", "SHELL",      "STOPSIGNAL", "USER",   "VOLUME",      "WORKDIR"};

// In a Dockerfile it makes the folder, too; here it only says where programs
// start.
void ApplyWorkdir(const std::string& path, ImageConfig& config) {
  if (absl::StartsWith(path, "/") || config.working_dir.empty()) {
    config.working_dir =
        absl::StartsWith(path, "/") ? path : absl::StrCat("/", path);
    return;
  }
  absl::StrAppend(&config.working_dir,
                  absl::EndsWith(config.working_dir, "/") ? "" : "/", path);
}

}  // namespace

absl::StatusOr<std::vector<Instruction>> ParseChanges(
    const std::vector<std::string>& changes) {
  std::vector<Instruction> instructions;
  for (const std::string& text : changes) {
    ASSIGN_OR_RETURN(
        Instruction instruction,
        ParseInstruction(text, static_cast<int>(instructions.size()) + 1,
                         kChangeName));
    if (std::find(std::begin(kAllowed), std::end(kAllowed),
                  instruction.keyword) == std::end(kAllowed)) {
      return absl::InvalidArgumentError(
          absl::StrCat(kChangeName, " \"", text, "\": ", instruction.keyword,
                       " changes files, which is for builds"));
    }
    instructions.push_back(std::move(instruction));
  }
  return instructions;
}

absl::Status ApplyChanges(BuildContext* context,
                          const std::vector<Instruction>& changes,
                          StageImage* image) {
  ASSIGN_OR_RETURN(const image::Platform platform, image::ParsePlatform(""));
  // Triggers are for builds.
  std::vector<std::string> triggers;
  triggers.swap(image->config.on_build);
  GlobalScope global({}, platform);
  std::string directory = image->config.config.working_dir;
  Stage stage(context, &global, StageOptions());
  RETURN_IF_ERROR(stage.Start(std::move(*image), Instruction()));
  for (const Instruction& instruction : changes) {
    if (instruction.keyword != "WORKDIR") {
      RETURN_IF_ERROR(stage.Execute(instruction, kChangeName));
      continue;
    }
    if (instruction.rest.empty()) {
      return ErrorAt(kChangeName, instruction.line, "WORKDIR wants a path");
    }
    ImageConfig config;
    config.working_dir = directory;
    ApplyWorkdir(instruction.rest, config);
    directory = config.working_dir;
  }
  *image = stage.image();
  image->config.config.working_dir = directory;
  image->config.on_build.insert(image->config.on_build.begin(),
                                triggers.begin(), triggers.end());
  return absl::OkStatus();
}

}  // namespace bulwark::engine::build
