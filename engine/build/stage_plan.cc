#include "engine/build/stage_plan.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

// Reads Dockerfiles' structure; see PlanStages.
class Planner {
 public:
  Planner(const Dockerfile& file, GlobalScope* global)
      : file_(file), global_(global) {}

  absl::StatusOr<std::vector<StagePlan>> Run(const std::string& target) {
    for (const Instruction& instruction : file_.instructions) {
      absl::Status status = Add(instruction);
      if (!status.ok()) {
        return Annotate(status, absl::StrCat(file_.name, ":", instruction.line,
                                             ": ", instruction.ToString()));
      }
    }
    if (stages_.empty()) {
      return ErrorAt(file_.name, 1, "there is no FROM instruction");
    }
    ASSIGN_OR_RETURN(size_t last, FindTarget(target));
    MarkNeeded(last);
    stages_.resize(last + 1);
    return std::move(stages_);
  }

 private:
  absl::Status Add(const Instruction& instruction) {
    if (instruction.keyword == "FROM") return AddStage(instruction);
    if (!stages_.empty()) {
      stages_.back().instructions.push_back(instruction);
      return absl::OkStatus();
    }
    if (instruction.keyword != "ARG") {
      return absl::InvalidArgumentError(
          "before the first FROM only ARG is allowed");
    }
    for (const std::string& word : SplitWords(instruction.rest, file_.escape)) {
      size_t equals = word.find('=');
      std::optional<std::string> fallback;
      if (equals != std::string::npos) {
        ASSIGN_OR_RETURN(fallback, ExpandGlobal(word.substr(equals + 1)));
      }
      global_->Declare(word.substr(0, equals), fallback);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ExpandGlobal(absl::string_view text) const {
    return Expand(text, file_.escape, [this](absl::string_view name) {
      return global_->Get(name);
    });
  }

  // FROM [--platform=P] IMAGE [AS NAME]
  absl::Status AddStage(const Instruction& from) {
    StagePlan stage;
    stage.from = from;
    for (const auto& [name, value] : from.flags) {
      if (name != "platform") {
        return absl::InvalidArgumentError(
            absl::StrCat("unknown flag --", name));
      }
      ASSIGN_OR_RETURN(stage.platform, ExpandGlobal(value));
    }
    std::vector<std::string> words = SplitWords(from.rest, file_.escape);
    bool named = words.size() == 3 && absl::AsciiStrToUpper(words[1]) == "AS";
    if (words.size() != 1 && !named) {
      return absl::InvalidArgumentError(
          "it is FROM IMAGE or FROM IMAGE AS NAME");
    }
    ASSIGN_OR_RETURN(stage.base, ExpandGlobal(words[0]));
    if (stage.base.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", words[0],
                       "\" is empty: give the argument a value"
                       " before the first FROM"));
    }
    if (named) stage.name = absl::AsciiStrToLower(words[2]);
    if (!stage.name.empty() &&
        FindStage(stages_, stage.name, stages_.size()) >= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is a stage \"", stage.name, "\" already"));
    }
    // Only by name here: a number would be an image.
    int number;
    if (!absl::SimpleAtoi(stage.base, &number)) {
      stage.base_stage = FindStage(stages_, stage.base, stages_.size());
    }
    if (stage.base_stage >= 0) stage.base.clear();
    stages_.push_back(std::move(stage));
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> FindTarget(const std::string& target) const {
    if (target.empty()) return stages_.size() - 1;
    int found = FindStage(stages_, target, stages_.size());
    if (found >= 0) return static_cast<size_t>(found);
    std::string names;
    for (const StagePlan& stage : stages_) {
      if (!stage.name.empty()) absl::StrAppend(&names, " ", stage.name);
    }
    return absl::InvalidArgumentError(absl::StrCat(
        file_.name, " has no stage \"", target,
        "\"; it has:", names.empty() ? " none with a name" : names));
  }

  void MarkNeeded(size_t index) {
    if (stages_[index].needed) return;
    stages_[index].needed = true;
    if (stages_[index].base_stage >= 0) MarkNeeded(stages_[index].base_stage);
    for (const Instruction& instruction : stages_[index].instructions) {
      if (instruction.keyword != "COPY") continue;
      for (const auto& [name, value] : instruction.flags) {
        int stage = name == "from" ? FindStage(stages_, value, index) : -1;
        if (stage >= 0) MarkNeeded(stage);
      }
    }
  }

  const Dockerfile& file_;
  GlobalScope* const global_;
  std::vector<StagePlan> stages_;
};

}  // namespace

int FindStage(const std::vector<StagePlan>& stages, const std::string& name,
              size_t before) {
  std::string lower = absl::AsciiStrToLower(name);
  for (size_t i = 0; i < before && i < stages.size(); ++i) {
    if (!stages[i].name.empty() && stages[i].name == lower) {
      return static_cast<int>(i);
    }
  }
  int number = -1;
  if (absl::SimpleAtoi(name, &number) && number >= 0 &&
      static_cast<size_t>(number) < before) {
    return number;
  }
  return -1;
}

absl::StatusOr<std::vector<StagePlan>> PlanStages(const Dockerfile& file,
                                                  const std::string& target,
                                                  GlobalScope* global) {
  return Planner(file, global).Run(target);
}

}  // namespace bulwark::engine::build
