// The instructions that change no file.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/signals.h"
#include "base/status.h"
#include "base/units.h"
#include "engine/build/stage.h"

namespace bulwark::engine::build {
namespace {

void AddOnce(std::vector<std::string>* list, const std::string& item) {
  if (std::find(list->begin(), list->end(), item) == list->end()) {
    list->push_back(item);
  }
}

// "80", "80/tcp", "8000-8010/udp" with the protocol filled in.
absl::StatusOr<std::string> ParsePort(const std::string& text) {
  std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  std::string protocol =
      absl::AsciiStrToLower(parts.second.empty() ? "tcp" : parts.second);
  bool good = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
  std::vector<std::string> ends = absl::StrSplit(parts.first, '-');
  good = good && ends.size() <= 2;
  for (const std::string& end : ends) {
    int port = 0;
    good = good && absl::SimpleAtoi(end, &port) && port > 0 && port <= 65535;
  }
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a port such as 80 or 53/udp"));
  }
  return absl::StrCat(parts.first, "/", protocol);
}

}  // namespace

Lookup Stage::Variables() const {
  return [this](absl::string_view name) {
    std::optional<std::string> value = FindEnv(image_.config.config.env, name);
    return value.has_value() ? value : scope_.Get(name);
  };
}

absl::StatusOr<std::string> Stage::ExpandText(absl::string_view text) const {
  return Expand(text, context_->escape, Variables());
}

absl::StatusOr<std::vector<std::string>> Stage::ExpandWords(
    const Instruction& instruction) const {
  std::vector<std::string> words =
      instruction.exec_form ? instruction.words
                            : SplitWords(instruction.rest, context_->escape);
  for (std::string& word : words) {
    ASSIGN_OR_RETURN(word, ExpandText(word));
  }
  return words;
}

// "a=b c='d e'", or the old form "a everything else".
absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
Stage::ReadPairs(const Instruction& instruction) const {
  std::vector<std::pair<std::string, std::string>> result;
  std::vector<std::string> words =
      SplitWords(instruction.rest, context_->escape);
  if (!absl::StrContains(words[0], "=")) {
    ASSIGN_OR_RETURN(std::string name, ExpandText(words[0]));
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(
        absl::string_view(instruction.rest).substr(words[0].size()));
    if (rest.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" needs a value: ", name, "=VALUE"));
    }
    ASSIGN_OR_RETURN(std::string value, ExpandText(rest));
    result.emplace_back(std::move(name), std::move(value));
    return result;
  }
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word, "\" is not NAME=VALUE"));
    }
    ASSIGN_OR_RETURN(std::string name, ExpandText(word.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value, ExpandText(word.substr(equals + 1)));
    result.emplace_back(std::move(name), std::move(value));
  }
  return result;
}

absl::Status Stage::ApplyMetadata(const Instruction& instruction) {
  const std::string& keyword = instruction.keyword;
  ImageConfig& config = image_.config.config;
  if (keyword == "ARG") return ApplyArg(instruction);
  if (keyword == "ENV") return ApplyEnv(instruction);
  if (keyword == "LABEL") return ApplyLabel(instruction);
  if (keyword == "EXPOSE") return ApplyExpose(instruction);
  if (keyword == "WORKDIR") return ApplyWorkdir(instruction);
  if (keyword == "VOLUME") return ApplyVolume(instruction);
  if (keyword == "HEALTHCHECK") return ApplyHealthcheck(instruction);
  if (keyword == "SHELL") return ApplyShell(instruction);
  if (keyword == "ONBUILD") return ApplyOnBuild(instruction);
  if (keyword == "CMD") {
    config.command = CommandOf(instruction);
    command_set_ = true;
  } else if (keyword == "ENTRYPOINT") {
    config.entrypoint = CommandOf(instruction);
    // A command of the base was meant for the base's entry point.
    if (!command_set_) config.command.clear();
  } else if (keyword == "USER") {
    ASSIGN_OR_RETURN(config.user, ExpandText(instruction.rest));
  } else if (keyword == "STOPSIGNAL") {
    ASSIGN_OR_RETURN(config.stop_signal, ExpandText(instruction.rest));
    if (!ParseSignal(config.stop_signal).has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", config.stop_signal,
                       "\" is not a signal; write it like SIGTERM or SIGQUIT"));
    }
  } else if (keyword == "MAINTAINER") {
    config.labels["maintainer"] = instruction.rest;
  } else {
    return absl::InvalidArgumentError("it is not allowed here");
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyArg(const Instruction& instruction) {
  for (const std::string& word :
       SplitWords(instruction.rest, context_->escape)) {
    size_t equals = word.find('=');
    std::string name = word.substr(0, equals);
    if (!IsVariableName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is not the name of a variable"));
    }
    std::optional<std::string> fallback;
    if (equals != std::string::npos) {
      ASSIGN_OR_RETURN(fallback, ExpandText(word.substr(equals + 1)));
    }
    scope_.Declare(name, fallback);
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyEnv(const Instruction& instruction) {
  // All values see the variables as they were before the instruction.
  ASSIGN_OR_RETURN(auto pairs, ReadPairs(instruction));
  for (const auto& [name, value] : pairs) {
    SetEnv(&image_.config.config.env, name, value);
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyLabel(const Instruction& instruction) {
  ASSIGN_OR_RETURN(auto pairs, ReadPairs(instruction));
  for (auto& [name, value] : pairs) {
    image_.config.config.labels[name] = std::move(value);
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyExpose(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::vector<std::string> words, ExpandWords(instruction));
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(std::string port, ParsePort(word));
    AddOnce(&image_.config.config.exposed_ports, port);
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyVolume(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::vector<std::string> words, ExpandWords(instruction));
  for (const std::string& word : words) {
    if (word.empty()) return absl::InvalidArgumentError("a path is empty");
    AddOnce(&image_.config.config.volumes, word);
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyHealthcheck(const Instruction& instruction) {
  std::pair<std::string, std::string> parts =
      absl::StrSplit(instruction.rest, absl::MaxSplits(' ', 1));
  std::string kind = absl::AsciiStrToUpper(parts.first);
  if (kind == "NONE") {
    image_.config.config.healthcheck.reset();
    return absl::OkStatus();
  }
  if (kind != "CMD" || parts.second.empty()) {
    return absl::InvalidArgumentError("it needs NONE, or CMD and a command");
  }
  ASSIGN_OR_RETURN(Instruction command,
                   ParseInstruction(instruction.rest, instruction.line, ""));
  ImageHealthcheck check;
  check.command = CommandOf(command);
  for (const auto& [name, value] : instruction.flags) {
    if (name == "interval") {
      ASSIGN_OR_RETURN(check.interval, ParseDuration(value));
    } else if (name == "timeout") {
      ASSIGN_OR_RETURN(check.timeout, ParseDuration(value));
    } else if (name == "start-period") {
      ASSIGN_OR_RETURN(check.start_period, ParseDuration(value));
    } else if (name != "retries" || !absl::SimpleAtoi(value, &check.retries) ||
               check.retries < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, "=", value, " is not understood"));
    }
  }
  image_.config.config.healthcheck = std::move(check);
  return absl::OkStatus();
}

absl::Status Stage::ApplyShell(const Instruction& instruction) {
  if (!instruction.exec_form || instruction.words.empty()) {
    return absl::InvalidArgumentError(
        "it needs the form [\"program\", \"argument\"]");
  }
  image_.config.shell = instruction.words;
  return absl::OkStatus();
}

absl::Status Stage::ApplyOnBuild(const Instruction& instruction) {
  ASSIGN_OR_RETURN(Instruction trigger,
                   ParseInstruction(instruction.rest, instruction.line,
                                    context_->file_name));
  if (trigger.keyword == "ONBUILD" || trigger.keyword == "FROM" ||
      trigger.keyword == "MAINTAINER") {
    return absl::InvalidArgumentError(
        absl::StrCat(trigger.keyword, " cannot be a trigger"));
  }
  image_.config.on_build.push_back(instruction.rest);
  return absl::OkStatus();
}

}  // namespace bulwark::engine::build
