#include "engine/build/stage_plan.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/instruction_flags.h"

namespace bulwark::engine::build {
namespace {

constexpr size_t kMaxStages = 1000;

bool IsStageName(absl::string_view name) {
  if (name.empty() || !absl::ascii_islower(name[0])) return false;
  for (char c : name) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-' &&
        c != '_' && c != '.') {
      return false;
    }
  }
  return true;
}

// The last stage of that name among the first `before`; -1: none.
int FindByName(const std::vector<StagePlan>& stages, const std::string& name,
               size_t before) {
  const std::string lower = absl::AsciiStrToLower(name);
  for (size_t i = std::min(before, stages.size()); i > 0; --i) {
    if (!lower.empty() && stages[i - 1].name == lower) {
      return static_cast<int>(i) - 1;
    }
  }
  return -1;
}

// The values of from=, of all that the instruction takes files from.
std::vector<std::string> FromsOf(const Instruction& instruction) {
  std::vector<std::string> result;
  if (instruction.keyword == "COPY") {
    for (const auto& [name, value] : instruction.flags) {
      if (name == "from") result.push_back(value);
    }
  } else if (instruction.keyword == "RUN") {
    for (const auto& [name, value] : instruction.flags) {
      if (name != "mount") continue;
      // Other options may hold variables, which do not matter here.
      absl::StatusOr<RunMount> mount = ParseRunMount(value, NoExpansion);
      if (mount.ok() && !mount->from.empty()) result.push_back(mount->from);
    }
  }
  return result;
}

// Reads Dockerfiles' structure; see PlanBuild.
class Planner {
 public:
  Planner(const Dockerfile& file, const std::set<std::string>& contexts,
          GlobalScope* global)
      : file_(file), contexts_(contexts), global_(global) {}

  absl::StatusOr<BuildPlan> Run(const std::string& target) {
    for (const Instruction& instruction : file_.instructions) {
      RETURN_IF_ERROR(AnnotateIn(Add(instruction), file_, instruction));
    }
    if (stages_.empty()) {
      return ErrorAt(file_.name, file_.instructions.back().line,
                     "there is no FROM instruction, which every image begins"
                     " with; FROM scratch begins with nothing");
    }
    for (StagePlan& stage : stages_) RETURN_IF_ERROR(FindNeeds(&stage));
    BuildPlan plan;
    ASSIGN_OR_RETURN(plan.target, FindTarget(target));
    state_.assign(stages_.size(), State::kNew);
    RETURN_IF_ERROR(Visit(plan.target, &plan.order));
    for (size_t i : plan.order) stages_[i].needed = true;
    plan.stages = std::move(stages_);
    return plan;
  }

 private:
  enum class State { kNew, kOpen, kDone };

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
      const size_t equals = word.find('=');
      ASSIGN_OR_RETURN(const std::string name,
                       RemoveQuotes(word.substr(0, equals), file_.escape));
      if (!IsVariableName(name)) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", name, "\" is not the name of a variable"));
      }
      std::optional<std::string> fallback;
      if (equals != std::string::npos) {
        ASSIGN_OR_RETURN(fallback, ExpandGlobal(word.substr(equals + 1)));
      }
      global_->Declare(name, fallback);
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
    if (stages_.size() >= kMaxStages) {
      return absl::InvalidArgumentError(
          absl::StrCat("there are more than ", kMaxStages, " stages"));
    }
    StagePlan stage;
    stage.from = from;
    ASSIGN_OR_RETURN(stage.platform, ExpandGlobal(PlatformFlag(from)));
    const std::vector<std::string> words = SplitWords(from.rest, file_.escape);
    const bool named =
        words.size() == 3 && absl::AsciiStrToUpper(words[1]) == "AS";
    if (words.size() != 1 && !named) {
      return absl::InvalidArgumentError(
          "it is FROM IMAGE or FROM IMAGE AS NAME");
    }
    ASSIGN_OR_RETURN(stage.base, ExpandGlobal(words[0]));
    if (stage.base.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", words[0],
                       "\" is empty: give the argument a value before the first"
                       " FROM (ARG NAME=VALUE) or with --build-arg"));
    }
    if (named) {
      stage.name = absl::AsciiStrToLower(words[2]);
      if (!IsStageName(stage.name)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "\"", words[2],
            "\" is not a name for a stage: it begins with a letter, and holds"
            " letters, digits, \"-\", \"_\" and \".\""));
      }
    }
    ResolveBase(&stage);
    stages_.push_back(std::move(stage));
    return absl::OkStatus();
  }

  // A context, a stage before this one (only by name: a number is an image), or
  // an image.
  void ResolveBase(StagePlan* stage) const {
    if (!stage->name.empty() && contexts_.count(stage->name) > 0) {
      stage->base_context = stage->name;
    } else if (contexts_.count(stage->base) > 0) {
      stage->base_context = stage->base;
    } else {
      stage->base_stage = FindByName(stages_, stage->base, stages_.size());
    }
    if (stage->base_stage >= 0 || !stage->base_context.empty()) {
      stage->base.clear();
    }
  }

  absl::Status FindNeeds(StagePlan* stage) {
    std::set<int> needs;
    if (stage->base_stage >= 0) needs.insert(stage->base_stage);
    for (const Instruction& instruction : stage->instructions) {
      for (const std::string& from : FromsOf(instruction)) {
        absl::StatusOr<Source> source = ResolveSource(stages_, contexts_, from);
        if (!source.ok()) {
          return AnnotateIn(source.status(), file_, instruction);
        }
        if (source->stage >= 0) needs.insert(source->stage);
      }
    }
    // A context in place of a stage brings its files; nothing of it is built.
    if (!stage->base_context.empty() && stage->base_context == stage->name) {
      stage->instructions.clear();
      needs.clear();
    }
    stage->needs.assign(needs.begin(), needs.end());
    return absl::OkStatus();
  }

  static std::string Label(const std::vector<StagePlan>& stages, size_t index) {
    return stages[index].name.empty() ? absl::StrCat("number ", index)
                                      : stages[index].name;
  }

  absl::StatusOr<size_t> FindTarget(const std::string& target) const {
    if (target.empty()) return stages_.size() - 1;
    const int found = FindByName(stages_, target, stages_.size());
    if (found >= 0) return static_cast<size_t>(found);
    size_t number = 0;
    if (absl::SimpleAtoi(target, &number) && number < stages_.size()) {
      return number;
    }
    std::vector<std::string> names;
    std::string list;
    for (const StagePlan& stage : stages_) {
      if (stage.name.empty()) continue;
      names.push_back(stage.name);
      absl::StrAppend(&list, " ", stage.name);
    }
    return absl::InvalidArgumentError(absl::StrCat(
        file_.name, " has no stage \"", target, "\"", Suggestion(target, names),
        "; it has:", list.empty() ? " none with a name" : list));
  }

  // Puts what `index` needs, and then itself, into `order`.
  absl::Status Visit(size_t index, std::vector<size_t>* order) {
    if (state_[index] == State::kDone) return absl::OkStatus();
    if (state_[index] == State::kOpen) {
      const Instruction& from = stages_[index].from;
      return ErrorIn(file_, from,
                     absl::StrCat("stage ", Label(stages_, index),
                                  " needs itself, directly or through others"
                                  " that it takes files from"));
    }
    state_[index] = State::kOpen;
    for (int other : stages_[index].needs) {
      RETURN_IF_ERROR(Visit(static_cast<size_t>(other), order));
    }
    state_[index] = State::kDone;
    order->push_back(index);
    return absl::OkStatus();
  }

  const Dockerfile& file_;
  const std::set<std::string>& contexts_;
  GlobalScope* const global_;
  std::vector<StagePlan> stages_;
  std::vector<State> state_;
};

}  // namespace

absl::StatusOr<Source> ResolveSource(const std::vector<StagePlan>& stages,
                                     const std::set<std::string>& contexts,
                                     const std::string& from) {
  Source result;
  if (from.empty()) return result;
  if (contexts.count(from) > 0) {
    result.context = from;
    return result;
  }
  result.stage = FindByName(stages, from, stages.size());
  if (result.stage >= 0) return result;
  size_t number = 0;
  if (!absl::SimpleAtoi(from, &number)) {
    result.image = from;
    return result;
  }
  if (number >= stages.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no stage ", from, ": they are numbered 0 to ",
                     stages.size() - 1, " in the order of FROM"));
  }
  result.stage = static_cast<int>(number);
  return result;
}

absl::StatusOr<BuildPlan> PlanBuild(const Dockerfile& file,
                                    const std::string& target,
                                    const std::set<std::string>& contexts,
                                    GlobalScope* global) {
  return Planner(file, contexts, global).Run(target);
}

}  // namespace bulwark::engine::build
