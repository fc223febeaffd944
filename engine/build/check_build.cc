#include "engine/build/check_build.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/glob.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/instruction_form.h"
#include "engine/build/lint.h"
#include "engine/build/stage_metadata.h"

namespace bulwark::engine::build {
namespace {

// Stages copy what they are built on.
constexpr size_t kMaxBytesOfStages = 256 << 20;

// What is known at the end of a stage, for those on top of it.
struct StageState {
  image::ConfigFile config;
  std::map<std::string, std::string> args;
  std::set<std::string> names;  // of all ARGs
  bool knows_variables = true;  // those of the base image, too
  bool has_workdir = false;     // some WORKDIR was said
  bool has_shell = false;       // some SHELL was
  size_t bytes = 0;             // of all this, about
};

class StageCheck {
 public:
  StageCheck(const CheckInput& input, GlobalScope* global, StageState* state,
             Linter* linter)
      : input_(input),
        state_(*state),
        linter_(linter),
        metadata_(input.file->escape, global, &state->config, state->args) {}

  // `quiet`: of a base's trigger, whose author is someone else.
  absl::Status Apply(const Instruction& instruction, bool quiet) {
    quiet_ = quiet;
    metadata_.ForgetUnset();
    const std::string& keyword = instruction.keyword;
    if (keyword == "COPY" || keyword == "ADD") {
      RETURN_IF_ERROR(CheckCopy(instruction));
    } else if (keyword == "RUN") {
      RETURN_IF_ERROR(ReadRunFlags(instruction, [this](absl::string_view text) {
                        return metadata_.ExpandText(text);
                      }).status());
    } else {
      RETURN_IF_ERROR(CheckMetadata(instruction));
    }
    if (!quiet_ && state_.knows_variables) WarnOfUnset(instruction);
    return absl::OkStatus();
  }

  // After the last instruction.
  void Finish() {
    state_.args = metadata_.scope().values();
    state_.bytes += metadata_.expanded_bytes();
  }

 private:
  void Warn(absl::string_view rule, const Instruction& instruction,
            std::string message) {
    if (!quiet_) linter_->Warn(rule, instruction, std::move(message));
  }

  absl::Status CheckCopy(const Instruction& instruction) {
    ASSIGN_OR_RETURN(const CopyFlags flags,
                     ReadCopyFlags(instruction, [this](absl::string_view text) {
                       return metadata_.ExpandText(text);
                     }));
    ASSIGN_OR_RETURN(std::vector<std::string> words,
                     metadata_.ExpandWordsOf(instruction));
    for (const Heredoc& heredoc : instruction.heredocs) {
      if (!heredoc.expand) continue;
      std::set<std::string> unset;
      RETURN_IF_ERROR(ExpandHeredoc(heredoc.text, input_.file->escape,
                                    metadata_.Variables(), &unset)
                          .status());
      for (const std::string& name : unset) WarnUnset(instruction, name);
    }
    words.pop_back();
    if (!flags.from.empty() || input_.ignored == nullptr) {
      return absl::OkStatus();
    }
    for (const std::string& word : words) {
      if (IsGlob(word) || absl::StrContains(word, "://") ||
          absl::StartsWith(word, "<<") ||
          !input_.ignored->Ignores(CleanRelative(word))) {
        continue;
      }
      Warn("CopyIgnoredFile", instruction,
           absl::StrCat(word,
                        " is left out of the build context by .dockerignore"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckMetadata(const Instruction& instruction) {
    const std::string& keyword = instruction.keyword;
    if (keyword == "ENV" || keyword == "ARG") WarnOfSecrets(instruction);
    if (keyword == "CMD" || keyword == "ENTRYPOINT") {
      if (!instruction.exec_form && !state_.has_shell) {
        Warn("JSONArgsRecommended", instruction,
             absl::StrCat("write ", keyword,
                          " as [\"program\", \"argument\"]: else a shell runs"
                          " it, which passes no signals on"));
      }
    }
    if (keyword == "SHELL") state_.has_shell = true;
    if (keyword == "WORKDIR") {
      ASSIGN_OR_RETURN(const std::string path,
                       metadata_.ExpandText(instruction.rest));
      if (!absl::StartsWith(path, "/") && !state_.has_workdir) {
        Warn("WorkdirRelativePath", instruction,
             absl::StrCat(path,
                          " begins where the base image leaves off; write"
                          " a path that begins with /"));
      }
      state_.has_workdir = true;
    }
    RETURN_IF_ERROR(metadata_.Apply(instruction));
    if (keyword == "ARG") {
      ASSIGN_OR_RETURN(const std::vector<ArgDeclaration> args,
                       ReadArgs(instruction, input_.file->escape));
      for (const ArgDeclaration& arg : args) state_.names.insert(arg.name);
    }
    return absl::OkStatus();
  }

  void WarnOfSecrets(const Instruction& instruction) {
    std::vector<std::string> names;
    if (instruction.keyword == "ENV") {
      absl::StatusOr<Pairs> pairs = ReadPairs(instruction, input_.file->escape);
      if (!pairs.ok()) return;
      for (const auto& [name, value] : pairs->pairs) names.push_back(name);
    } else {
      absl::StatusOr<std::vector<ArgDeclaration>> args =
          ReadArgs(instruction, input_.file->escape);
      if (!args.ok()) return;
      for (const ArgDeclaration& arg : *args) names.push_back(arg.name);
    }
    for (const std::string& name : names) {
      if (!NamesSecret(name)) continue;
      Warn("SecretsUsedInArgOrEnv", instruction,
           absl::StrCat(instruction.keyword, " ", name,
                        " stays readable in the image; use RUN"
                        " --mount=type=secret"));
    }
  }

  void WarnOfUnset(const Instruction& instruction) {
    for (const std::string& name : metadata_.unset()) {
      WarnUnset(instruction, name);
    }
  }

  void WarnUnset(const Instruction& instruction, const std::string& name) {
    if (state_.names.count(name) > 0 || !state_.knows_variables ||
        linter_->full()) {
      return;
    }
    const auto& automatic = input_.global->automatic();
    if (input_.global->Declares(name) || automatic.count(name) > 0) {
      Warn("UndefinedVar", instruction,
           absl::StrCat("$", name, " is not set in this stage; write ARG ",
                        name, " after FROM, too"));
      return;
    }
    std::vector<std::string> known(state_.names.begin(), state_.names.end());
    for (const std::string& entry : state_.config.config.env) {
      known.push_back(entry.substr(0, entry.find('=')));
    }
    Warn("UndefinedVar", instruction,
         absl::StrCat("$", name, " is never set", Suggestion(name, known)));
  }

  const CheckInput& input_;
  StageState& state_;
  Linter* const linter_;
  StageMetadata metadata_;
  bool quiet_ = false;
};

class Checker {
 public:
  Checker(const CheckInput& input, Linter* linter)
      : input_(input), linter_(linter), global_(*input.global) {}

  absl::Status Run() {
    for (size_t index : input_.plan->order) {
      RETURN_IF_ERROR(CheckStage(input_.plan->stages[index], &states_[index]));
    }
    return absl::OkStatus();
  }

  std::map<size_t, image::ConfigFile> TakeConfigs() {
    std::map<size_t, image::ConfigFile> result;
    for (auto& [index, state] : states_) {
      result[index] = std::move(state.config);
    }
    return result;
  }

 private:
  absl::Status CheckStage(const StagePlan& stage, StageState* state) {
    Begin(stage, state);
    std::vector<std::string> triggers;
    triggers.swap(state->config.on_build);
    StageCheck check(input_, &global_, state, linter_);
    for (const std::string& trigger : triggers) {
      absl::StatusOr<Instruction> instruction = ParseInstruction(
          trigger, stage.from.line, input_.file->name, input_.file->escape);
      absl::Status status = instruction.status();
      if (status.ok()) status = check.Apply(*instruction, /*quiet=*/true);
      if (!status.ok()) {
        return AnnotateIn(Annotate(status, absl::StrCat("ONBUILD ", trigger)),
                          *input_.file, stage.from);
      }
    }
    for (const Instruction& instruction : stage.instructions) {
      RETURN_IF_ERROR(AnnotateIn(check.Apply(instruction, /*quiet=*/false),
                                 *input_.file, instruction));
    }
    check.Finish();
    total_bytes_ += state->bytes;
    if (total_bytes_ > kMaxBytesOfStages) {
      return ErrorIn(*input_.file, stage.from,
                     "the variables of all stages make more than 256 MiB");
    }
    return absl::OkStatus();
  }

  void Begin(const StagePlan& stage, StageState* state) {
    if (stage.base_stage >= 0) {
      *state = states_.at(stage.base_stage);
      return;
    }
    state->config.platform = input_.platform;
    if (stage.base == "scratch") return;
    std::optional<image::ConfigFile> known;
    if (input_.base != nullptr) known = input_.base(stage);
    state->knows_variables = known.has_value();
    if (known.has_value()) state->config = *std::move(known);
    state->has_shell = !state->config.shell.empty();
  }

  const CheckInput& input_;
  Linter* const linter_;
  GlobalScope global_;
  std::map<size_t, StageState> states_;
  size_t total_bytes_ = 0;
};

// The scope that the file makes of its own defaults.
GlobalScope DefaultsOf(const Dockerfile& file,
                       const image::Platform& platform) {
  GlobalScope defaults({}, platform);
  for (const Instruction& instruction : file.instructions) {
    if (instruction.keyword == "FROM") break;
    absl::StatusOr<std::vector<ArgDeclaration>> args =
        ReadArgs(instruction, file.escape);
    if (!args.ok()) continue;
    for (const ArgDeclaration& arg : *args) {
      std::optional<std::string> value;
      if (arg.fallback.has_value()) {
        absl::StatusOr<std::string> text =
            Expand(*arg.fallback, file.escape,
                   [&](absl::string_view name) { return defaults.Get(name); });
        if (text.ok()) value = *std::move(text);
      }
      defaults.Declare(arg.name, value);
    }
  }
  return defaults;
}

}  // namespace

absl::StatusOr<CheckResult> CheckBuild(const CheckInput& input) {
  std::optional<std::string> argument;
  if (input.given != nullptr) {
    auto it = input.given->find("BUILDKIT_DOCKERFILE_CHECK");
    if (it != input.given->end()) argument = it->second;
  }
  ASSIGN_OR_RETURN(const LintSettings settings,
                   SettingsFor(*input.file, argument));
  Linter linter(input.file, &settings);
  LintText(*input.file, &linter);
  LintFroms(*input.file, *input.global, DefaultsOf(*input.file, input.platform),
            &linter);
  Checker checker(input, &linter);
  RETURN_IF_ERROR(checker.Run());
  CheckResult result;
  result.warnings = linter.Take();
  result.configs = checker.TakeConfigs();
  result.fail = settings.error && !result.warnings.empty();
  return result;
}

std::string FormatWarning(absl::string_view file, const BuildWarning& warning) {
  return absl::StrCat(file, ":", warning.line, ": ", warning.rule, ": ",
                      warning.message, warning.excerpt.empty() ? "" : "\n",
                      warning.excerpt);
}

absl::Status LintError(const Dockerfile& file,
                       const std::vector<BuildWarning>& warnings) {
  std::string text =
      absl::StrCat(file.name,
                   ": \"error=true\" makes warnings errors; mend what is below,"
                   " or name its rule in \"# check=skip=RULE\"");
  for (const BuildWarning& warning : warnings) {
    absl::StrAppend(&text, "\n", FormatWarning(file.name, warning));
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace bulwark::engine::build
