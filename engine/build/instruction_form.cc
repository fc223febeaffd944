#include "engine/build/instruction_form.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/words.h"

namespace bulwark::engine::build {
namespace {

// Takes the first word off the front.
std::string TakeWord(absl::string_view* rest) {
  size_t end = 0;
  while (end < rest->size() && !absl::ascii_isspace((*rest)[end])) ++end;
  std::string word(rest->substr(0, end));
  *rest = absl::StripLeadingAsciiWhitespace(rest->substr(end));
  return word;
}

absl::Status CheckCopy(const Instruction& instruction, char escape) {
  const std::vector<std::string> words =
      instruction.exec_form ? instruction.words
                            : SplitWords(instruction.rest, escape);
  if (words.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(instruction.keyword, " needs a source and a destination"));
  }
  if (!instruction.heredocs.empty() && absl::StartsWith(words.back(), "<<")) {
    return absl::InvalidArgumentError(
        "a heredoc can only be a source; the last word is the destination");
  }
  return absl::OkStatus();
}

}  // namespace

// "a=b c='d e'", or the old form "a everything else".
absl::StatusOr<Pairs> ReadPairs(const Instruction& instruction, char escape) {
  Pairs result;
  const std::vector<std::string> words = SplitWords(instruction.rest, escape);
  if (!absl::StrContains(words[0], "=")) {
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(
        absl::string_view(instruction.rest).substr(words[0].size()));
    if (rest.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", words[0], "\" needs a value: ", words[0], "=VALUE"));
    }
    result.legacy = true;
    result.pairs.emplace_back(words[0], std::string(rest));
    return result;
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", word,
          "\" is not NAME=VALUE; put values with blanks in quotes"));
    }
    result.pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return result;
}

absl::StatusOr<std::vector<ArgDeclaration>> ReadArgs(
    const Instruction& instruction, char escape) {
  std::vector<ArgDeclaration> result;
  for (const std::string& word : SplitWords(instruction.rest, escape)) {
    ArgDeclaration arg;
    const size_t equals = word.find('=');
    ASSIGN_OR_RETURN(arg.name, RemoveQuotes(word.substr(0, equals), escape));
    if (!IsVariableName(arg.name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", arg.name,
          "\" is not the name of a variable: letters, digits and \"_\", with no"
          " digit at its beginning"));
    }
    if (equals != std::string::npos) arg.fallback = word.substr(equals + 1);
    result.push_back(std::move(arg));
  }
  return result;
}

absl::StatusOr<HealthcheckForm> ReadHealthcheck(
    const Instruction& instruction) {
  HealthcheckForm result;
  absl::string_view rest = instruction.rest;
  const std::string kind = absl::AsciiStrToUpper(TakeWord(&rest));
  if (kind == "NONE" && !rest.empty()) {
    return absl::InvalidArgumentError("HEALTHCHECK NONE takes no arguments");
  }
  if (kind == "NONE" && !instruction.flags.empty()) {
    return absl::InvalidArgumentError("HEALTHCHECK NONE takes no flags");
  }
  result.none = kind == "NONE";
  if (result.none) return result;
  if (kind != "CMD" || rest.empty()) {
    return absl::InvalidArgumentError(
        "HEALTHCHECK needs NONE, or CMD and a command");
  }
  // Not parsed as an instruction: flags behind CMD belong to the command.
  ASSIGN_OR_RETURN(
      const Instruction command,
      ParseInstruction(absl::StrCat("CMD -- ", rest), instruction.line, ""));
  result.exec_form = command.exec_form;
  result.words = command.words;
  result.command = std::string(rest);
  if (result.exec_form && result.words.empty()) {
    return absl::InvalidArgumentError("HEALTHCHECK CMD [] has no command");
  }
  return result;
}

std::string TriggerText(const Instruction& onbuild) {
  std::string text = onbuild.rest;
  for (const Heredoc& heredoc : onbuild.heredocs) {
    absl::StrAppend(&text, "\n", heredoc.text, heredoc.name);
  }
  return text;
}

absl::StatusOr<Instruction> ReadTrigger(const Instruction& onbuild,
                                        absl::string_view name, char escape) {
  absl::string_view rest = onbuild.rest;
  const std::string keyword = absl::AsciiStrToUpper(TakeWord(&rest));
  if (keyword == "ONBUILD" || keyword == "FROM" || keyword == "MAINTAINER") {
    return absl::InvalidArgumentError(
        absl::StrCat(keyword, " cannot be a trigger"));
  }
  return ParseInstruction(TriggerText(onbuild), onbuild.line, name, escape);
}

absl::Status CheckForm(const Instruction& instruction, absl::string_view name,
                       char escape) {
  const std::string& keyword = instruction.keyword;
  if (keyword == "ENV" || keyword == "LABEL") {
    return ReadPairs(instruction, escape).status();
  }
  if (keyword == "ARG") return ReadArgs(instruction, escape).status();
  if (keyword == "HEALTHCHECK") return ReadHealthcheck(instruction).status();
  if (keyword == "COPY" || keyword == "ADD") {
    return CheckCopy(instruction, escape);
  }
  if (keyword == "ONBUILD") {
    return ReadTrigger(instruction, name, escape).status();
  }
  if (keyword == "SHELL" &&
      (!instruction.exec_form || instruction.words.empty())) {
    return absl::InvalidArgumentError(
        "SHELL needs the form [\"program\", \"argument\"]");
  }
  if (keyword == "RUN" && instruction.exec_form && instruction.words.empty()) {
    return absl::InvalidArgumentError("RUN [] has no command");
  }
  if (keyword == "VOLUME" && instruction.exec_form &&
      instruction.words.empty()) {
    return absl::InvalidArgumentError("VOLUME [] names no path");
  }
  return absl::OkStatus();
}

std::vector<std::string> CommandWords(const Instruction& instruction,
                                      const std::vector<std::string>& shell) {
  if (instruction.exec_form) return instruction.words;
  std::vector<std::string> words = shell;
  if (words.empty()) words = {"/bin/sh", "-c"};
  words.push_back(instruction.rest);
  return words;
}

}  // namespace bulwark::engine::build
