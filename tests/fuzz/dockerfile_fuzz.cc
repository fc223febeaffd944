// Dockerfiles from anyone: read, planned and checked.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/build/check_build.h"
#include "engine/build/dockerfile.h"
#include "engine/build/instruction_form.h"
#include "engine/build/stage_plan.h"
#include "engine/build/words.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::build {
namespace {

// The input's fault, and it says why.
void CheckError(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(!status.message().empty());
}

void CheckInstruction(const Dockerfile& file, const Instruction& instruction) {
  const std::vector<std::string>& known = Keywords();
  CHECK(std::find(known.begin(), known.end(), instruction.keyword) !=
        known.end());
  CHECK(instruction.line >= 1 && instruction.line <= instruction.last_line);
  CHECK(instruction.last_line <= static_cast<int>(file.lines.size()));
  CHECK(instruction.exec_form || instruction.words.empty());
  CHECK(!Excerpt(file, instruction.line, instruction.last_line).empty());
  // What an image keeps of a trigger is read again as it was.
  if (instruction.keyword != "ONBUILD") return;
  const absl::StatusOr<Instruction> trigger =
      ReadTrigger(instruction, "", file.escape);
  CHECK(trigger.ok());
  CHECK(trigger->heredocs.size() == instruction.heredocs.size());
}

void CheckPlan(const BuildPlan& plan) {
  CHECK(!plan.order.empty() && plan.order.back() == plan.target);
  std::vector<bool> done(plan.stages.size(), false);
  for (size_t index : plan.order) {
    CHECK(index < plan.stages.size() && !done[index]);
    for (int other : plan.stages[index].needs) CHECK(done[other]);
    done[index] = true;
  }
}

void Try(const std::string& text) {
  const absl::StatusOr<Dockerfile> file = ParseDockerfile(text, "Dockerfile");
  if (!file.ok()) return CheckError(file.status());
  CHECK(!file->instructions.empty());
  int line = 0;
  for (const Instruction& instruction : file->instructions) {
    CHECK(instruction.line > line);
    line = instruction.last_line;
    CheckInstruction(*file, instruction);
  }
  const std::map<std::string, std::string> given = {{"GIVEN", "a b/c"}};
  const image::Platform platform{"linux", "amd64", ""};
  GlobalScope global(given, platform);
  const absl::StatusOr<BuildPlan> plan =
      PlanBuild(*file, "", {"context"}, &global);
  if (!plan.ok()) return CheckError(plan.status());
  CheckPlan(*plan);
  CheckInput input;
  input.file = &*file;
  input.plan = &*plan;
  input.global = &global;
  input.given = &given;
  input.platform = platform;
  const absl::StatusOr<CheckResult> result = CheckBuild(input);
  if (!result.ok()) return CheckError(result.status());
  CHECK(result->configs.size() == plan->order.size());
  for (const BuildWarning& warning : result->warnings) {
    CHECK(warning.line >= 1 && !warning.message.empty());
    CHECK(!FormatWarning(file->name, warning).empty());
  }
}

// The words of an expansion are its text without the blanks between them.
void TryWords(const std::string& text) {
  const Lookup lookup =
      [](absl::string_view name) -> std::optional<std::string> {
    if (name == "A") return "a*b/c d";
    if (name == "E") return "";
    return std::nullopt;
  };
  const absl::StatusOr<std::string> whole = Expand(text, '\\', lookup);
  const absl::StatusOr<std::vector<std::string>> words =
      ExpandWords(text, '\\', lookup);
  CHECK(whole.ok() == words.ok());
  if (!whole.ok()) return CheckError(whole.status());
  size_t total = 0;
  for (const std::string& word : *words) {
    CHECK(!word.empty());
    CHECK(absl::StrContains(*whole, word));
    total += word.size();
  }
  CHECK(total <= whole->size());
  const absl::StatusOr<std::string> heredoc = ExpandHeredoc(text, '\\', lookup);
  if (!heredoc.ok()) CheckError(heredoc.status());
}

}  // namespace
}  // namespace bulwark::engine::build

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine::build;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Try(text);
  TryWords(text);
  return 0;
}
