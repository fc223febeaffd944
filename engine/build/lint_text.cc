// The rules that need no more than the text.
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/build/instruction_form.h"
#include "engine/build/lint.h"
#include "engine/build/words.h"
#include "engine/image/reference.h"

namespace bulwark::engine::build {
namespace {

bool IsLower(const std::string& text) {
  return absl::AsciiStrToLower(text) == text;
}
bool IsUpper(const std::string& text) {
  return absl::AsciiStrToUpper(text) == text;
}

// The words of "FROM image AS name"; empty if it has no name.
std::vector<std::string> NamedFrom(const Dockerfile& file,
                                   const Instruction& from) {
  std::vector<std::string> words = SplitWords(from.rest, file.escape);
  if (words.size() != 3) words.clear();
  return words;
}

void LintCasing(const Dockerfile& file, Linter* linter) {
  int lower = 0;
  int upper = 0;
  for (const Instruction& instruction : file.instructions) {
    lower += IsLower(instruction.written) ? 1 : 0;
    upper += IsUpper(instruction.written) ? 1 : 0;
  }
  const bool wants_lower = lower > upper;
  for (const Instruction& instruction : file.instructions) {
    const std::string& written = instruction.written;
    if (wants_lower ? IsLower(written) : IsUpper(written)) continue;
    linter->Warn("ConsistentInstructionCasing", instruction,
                 absl::StrCat("write ", written, " as ",
                              wants_lower ? absl::AsciiStrToLower(written)
                                          : instruction.keyword,
                              ", in the case that most instructions have"));
  }
}

void LintStageName(const Dockerfile& file, const Instruction& from,
                   std::map<std::string, int>* names, Linter* linter) {
  const std::vector<std::string> words = NamedFrom(file, from);
  if (words.empty()) return;
  const std::string& as = words[1];
  const std::string& name = words[2];
  if (!IsLower(name)) {
    linter->Warn(
        "StageNameCasing", from,
        absl::StrCat("write the name of stage ", name, " in lower case"));
  }
  if ((IsLower(from.written) && !IsLower(as)) ||
      (IsUpper(from.written) && !IsUpper(as))) {
    linter->Warn(
        "FromAsCasing", from,
        absl::StrCat("write ", from.written, " and ", as, " in the same case"));
  }
  const std::string lower = absl::AsciiStrToLower(name);
  if (lower == "scratch" || lower == "context") {
    linter->Warn("ReservedStageName", from,
                 absl::StrCat("\"", lower,
                              "\" has a meaning of its own; give the stage"
                              " another name"));
  }
  const auto [it, is_new] = names->emplace(lower, from.line);
  if (!is_new) {
    linter->Warn("DuplicateStageName", from,
                 absl::StrCat("line ", it->second, " names a stage \"", lower,
                              "\", too; give each its own name"));
  }
}

// Comments right above ARG and FROM … AS say what they are: "# name: text".
void LintDescription(const Dockerfile& file, const Instruction& instruction,
                     Linter* linter) {
  if (instruction.line < 2) return;
  absl::string_view comment =
      absl::StripAsciiWhitespace(file.lines[instruction.line - 2]);
  if (!absl::ConsumePrefix(&comment, "#")) return;
  comment = absl::StripAsciiWhitespace(comment);
  if (comment.empty()) return;
  std::string name;
  if (instruction.keyword == "ARG") {
    absl::StatusOr<std::vector<ArgDeclaration>> args =
        ReadArgs(instruction, file.escape);
    if (args.ok() && !args->empty()) name = args->front().name;
  } else {
    const std::vector<std::string> words = NamedFrom(file, instruction);
    if (!words.empty()) name = words[2];
  }
  if (name.empty() || absl::StartsWith(comment, absl::StrCat(name, " "))) {
    return;
  }
  linter->Warn("InvalidDefinitionDescription", instruction,
               absl::StrCat("the comment above describes ", name,
                            " if it begins with its name; else leave an empty"
                            " line between"));
}

void LintPairs(const Dockerfile& file, const Instruction& instruction,
               Linter* linter) {
  absl::StatusOr<Pairs> pairs = ReadPairs(instruction, file.escape);
  if (!pairs.ok() || !pairs->legacy) return;
  linter->Warn(
      "LegacyKeyValueFormat", instruction,
      absl::StrCat("write ", instruction.keyword, " ", pairs->pairs[0].first,
                   "=VALUE, not ", instruction.keyword, " ",
                   pairs->pairs[0].first, " VALUE"));
}

void LintExpose(const Instruction& instruction, Linter* linter) {
  for (absl::string_view word : absl::StrSplit(
           instruction.rest, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
    if (absl::StrContains(word, "$")) continue;
    const size_t slash = word.find('/');
    const std::string protocol(
        slash == absl::string_view::npos ? "" : word.substr(slash + 1));
    if (!IsLower(protocol)) {
      linter->Warn(
          "ExposeProtoCasing", instruction,
          absl::StrCat("write the protocol of ", word, " in lower case"));
    }
    if (absl::StrContains(word.substr(0, slash), ":")) {
      linter->Warn("ExposeInvalidFormat", instruction,
                   absl::StrCat(word,
                                " names an address or port of the host, which"
                                " an image cannot choose; only the container's"
                                " port counts"));
    }
  }
}

void LintInstruction(const Dockerfile& file, const Instruction& instruction,
                     Linter* linter) {
  const std::string& keyword = instruction.keyword;
  if (instruction.has_empty_continuation) {
    linter->Warn("NoEmptyContinuation", instruction,
                 absl::StrCat("remove the empty line within ", keyword));
  }
  if (keyword == "MAINTAINER") {
    linter->Warn("MaintainerDeprecated", instruction,
                 "write LABEL org.opencontainers.image.authors=… in its place");
  }
  if (keyword == "ENV" || keyword == "LABEL") {
    LintPairs(file, instruction, linter);
  }
  if (keyword == "EXPOSE") LintExpose(instruction, linter);
  if (keyword == "ARG" || keyword == "FROM") {
    LintDescription(file, instruction, linter);
  }
}

// Of a stage's CMD, ENTRYPOINT and HEALTHCHECK only the last counts.
void LintRepeated(const Dockerfile& file, Linter* linter) {
  std::map<std::string, const Instruction*> last;
  for (const Instruction& instruction : file.instructions) {
    const std::string& keyword = instruction.keyword;
    if (keyword == "FROM") last.clear();
    if (keyword != "CMD" && keyword != "ENTRYPOINT" &&
        keyword != "HEALTHCHECK") {
      continue;
    }
    const Instruction*& before = last[keyword];
    if (before != nullptr) {
      linter->Warn("MultipleInstructionsDisallowed", *before,
                   absl::StrCat("this ", keyword, " has no effect: line ",
                                instruction.line, " has another one"));
    }
    before = &instruction;
  }
}

bool IsTargetPlatform(const std::string& text) {
  return text == "$TARGETPLATFORM" || text == "${TARGETPLATFORM}";
}

void LintPlatform(const Instruction& from, Linter* linter) {
  for (const auto& [name, value] : from.flags) {
    if (IsTargetPlatform(value)) {
      linter->Warn("RedundantTargetPlatform", from,
                   "leave --platform out: a base has the target's platform"
                   " anyway");
    } else if (!absl::StrContains(value, "$")) {
      linter->Warn("FromPlatformFlagConstDisallowed", from,
                   absl::StrCat("--platform=", value,
                                " builds for no other platform; use"
                                " $BUILDPLATFORM, or choose with the"
                                " builder's --platform"));
    }
  }
}

Lookup LookupIn(const GlobalScope& scope) {
  return [&scope](absl::string_view name) { return scope.Get(name); };
}

}  // namespace

void LintText(const Dockerfile& file, Linter* linter) {
  LintCasing(file, linter);
  std::map<std::string, int> names;
  for (const Instruction& instruction : file.instructions) {
    if (instruction.keyword == "FROM") {
      LintStageName(file, instruction, &names, linter);
      LintPlatform(instruction, linter);
    }
    LintInstruction(file, instruction, linter);
  }
  LintRepeated(file, linter);
}

void LintFroms(const Dockerfile& file, const GlobalScope& global,
               const GlobalScope& defaults, Linter* linter) {
  std::vector<std::string> known = global.Names();
  std::set<std::string> stages;
  for (const Instruction& from : file.instructions) {
    if (from.keyword != "FROM" || linter->full()) continue;
    const std::vector<std::string> words = SplitWords(from.rest, file.escape);
    std::string text = words[0];
    for (const auto& [name, value] : from.flags) {
      absl::StrAppend(&text, " ", value);
    }
    std::set<std::string> unset;
    (void)Expand(text, file.escape, LookupIn(global), &unset);
    for (const std::string& name : unset) {
      if (global.Declares(name)) continue;
      linter->Warn("UndefinedArgInFrom", from,
                   absl::StrCat("no ARG before the first FROM declares ", name,
                                Suggestion(name, known)));
    }
    absl::StatusOr<std::string> base =
        Expand(words[0], file.escape, LookupIn(defaults));
    if (unset.empty() && base.ok() && absl::StrContains(words[0], "$") &&
        stages.count(absl::AsciiStrToLower(*base)) == 0 &&
        !image::ParseReference(*base).ok()) {
      linter->Warn("InvalidDefaultArgInFrom", from,
                   absl::StrCat("without --build-arg, ", words[0],
                                " names no image; give the ARG a default"));
    }
    if (words.size() == 3) stages.insert(absl::AsciiStrToLower(words[2]));
  }
}

}  // namespace bulwark::engine::build
