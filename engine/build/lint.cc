#include "engine/build/lint.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

// Hostile files would have one for each line.
constexpr size_t kMaxWarnings = 1000;

// Off unless they are asked for.
bool IsExperimental(const std::string& rule) {
  return rule == "InvalidDefinitionDescription";
}

absl::Status SetOption(const std::string& name, const std::string& value,
                       LintSettings* settings) {
  if (name == "error") {
    if (value != "true" && value != "false") {
      return absl::InvalidArgumentError(
          absl::StrCat("error=", value, ": it is true or false"));
    }
    settings->error = value == "true";
    return absl::OkStatus();
  }
  if (name != "skip" && name != "experimental") {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown option \"", name, "\"",
        Suggestion(name, {"skip", "error", "experimental"}),
        " (it is skip=RULE,RULE, error=true or experimental=RULE)"));
  }
  const bool skip = name == "skip";
  for (absl::string_view rule :
       absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    rule = absl::StripAsciiWhitespace(rule);
    if (rule == "all") {
      (skip ? settings->skip_all : settings->experimental_all) = true;
    } else {
      (skip ? settings->skip : settings->experimental)
          .insert(std::string(rule));
    }
  }
  return absl::OkStatus();
}

std::string PlaceOf(const BuildWarning& warning) {
  return absl::StrCat(warning.line, " ", warning.rule);
}

}  // namespace

absl::StatusOr<LintSettings> ParseLintSettings(absl::string_view text) {
  LintSettings result;
  for (absl::string_view part :
       absl::StrSplit(text, ';', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> option =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    RETURN_IF_ERROR(SetOption(
        std::string(absl::StripAsciiWhitespace(option.first)),
        std::string(absl::StripAsciiWhitespace(option.second)), &result));
  }
  return result;
}

absl::StatusOr<LintSettings> SettingsFor(
    const Dockerfile& file, const std::optional<std::string>& argument) {
  if (argument.has_value()) {
    absl::StatusOr<LintSettings> settings = ParseLintSettings(*argument);
    if (settings.ok()) return settings;
    return Annotate(settings.status(), "BUILDKIT_DOCKERFILE_CHECK");
  }
  absl::StatusOr<LintSettings> settings = ParseLintSettings(file.check);
  if (settings.ok()) return settings;
  return ErrorIn(file, file.check_line, file.check_line,
                 absl::StrCat("# check: ", settings.status().message()));
}

bool Linter::Counts(const std::string& rule) const {
  if (IsExperimental(rule) && !settings_->experimental_all &&
      settings_->experimental.count(rule) == 0) {
    return false;
  }
  return !settings_->skip_all && settings_->skip.count(rule) == 0;
}

void Linter::Warn(absl::string_view rule, const Instruction& instruction,
                  std::string message) {
  BuildWarning warning;
  warning.rule = std::string(rule);
  if (!Counts(warning.rule) || full()) return;
  warning.message = std::move(message);
  warning.line = instruction.line;
  if (!seen_.emplace(PlaceOf(warning), warning.message).second) return;
  warning.excerpt = Excerpt(*file_, instruction.line, instruction.last_line);
  if (!warning.excerpt.empty()) warning.excerpt.erase(0, 1);  // the line feed
  warnings_.push_back(std::move(warning));
}

bool Linter::full() const { return warnings_.size() >= kMaxWarnings; }

std::vector<BuildWarning> Linter::Take() {
  std::stable_sort(warnings_.begin(), warnings_.end(),
                   [](const BuildWarning& a, const BuildWarning& b) {
                     return a.line < b.line;
                   });
  return std::move(warnings_);
}

bool NamesSecret(absl::string_view name) {
  static const auto* const words = new std::set<std::string>{
      "apikey",   "auth",  "credential", "credentials", "key",
      "password", "pword", "passwd",     "secret",      "token"};
  bool secret = false;
  for (absl::string_view part : absl::StrSplit(name, '_')) {
    const std::string lower = absl::AsciiStrToLower(part);
    if (lower == "public") return false;
    secret = secret || words->count(lower) > 0;
  }
  return secret;
}

}  // namespace bulwark::engine::build
