#include "engine/build/stage_metadata.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/signals.h"
#include "base/status.h"
#include "engine/build/glob.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/instruction_form.h"

namespace bulwark::engine::build {
namespace {

// Small files can ask for a lot.
constexpr size_t kMaxExpandedInStage = 16 << 20;
constexpr size_t kMaxVariables = 4'000;
constexpr size_t kMaxVolumes = 10'000;
constexpr char kUsualPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void AddNew(std::vector<std::string>* list, std::vector<std::string> items) {
  const std::set<std::string> known(list->begin(), list->end());
  std::set<std::string> added;
  for (std::string& item : items) {
    if (known.count(item) > 0 || !added.insert(item).second) continue;
    list->push_back(std::move(item));
  }
}

absl::Status TooMuch() {
  return absl::InvalidArgumentError(
      "the variables and ports of this stage make more than 16 MiB");
}

absl::Status NoPort(const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is not a port such as 80, 53/udp or 8000-8010"));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParsePorts(const std::string& text) {
  std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  const std::string protocol =
      absl::AsciiStrToLower(parts.second.empty() ? "tcp" : parts.second);
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the protocol is tcp, udp or sctp"));
  }
  const size_t colon = parts.first.rfind(':');
  if (colon != std::string::npos) parts.first.erase(0, colon + 1);
  const std::vector<std::string> ends = absl::StrSplit(parts.first, '-');
  int first = 0;
  int last = 0;
  if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) ||
      !absl::SimpleAtoi(ends.back(), &last) || first < 1 || last > 65535 ||
      first > last) {
    return NoPort(text);
  }
  std::vector<std::string> ports;
  for (int port = first; port <= last; ++port) {
    ports.push_back(absl::StrCat(port, "/", protocol));
  }
  return ports;
}

Lookup StageMetadata::Variables() const {
  return [this](absl::string_view name) {
    std::optional<std::string> value = FindEnv(config_->config.env, name);
    if (!value.has_value()) value = scope_.Get(name);
    if (!value.has_value() && name == "PATH") value = kUsualPath;
    return value;
  };
}

absl::StatusOr<std::string> StageMetadata::ExpandText(
    absl::string_view text) const {
  ASSIGN_OR_RETURN(std::string result,
                   Expand(text, escape_, Variables(), &unset_));
  expanded_bytes_ += result.size();
  if (expanded_bytes_ <= kMaxExpandedInStage) return result;
  return TooMuch();
}

absl::StatusOr<std::vector<std::string>> StageMetadata::ExpandWordsOf(
    const Instruction& instruction) const {
  std::vector<std::string> words = instruction.exec_form
                                       ? instruction.words
                                       : SplitWords(instruction.rest, escape_);
  for (std::string& word : words) {
    ASSIGN_OR_RETURN(word, ExpandText(word));
  }
  return words;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
StageMetadata::ExpandPairs(const Instruction& instruction) const {
  ASSIGN_OR_RETURN(Pairs pairs, build::ReadPairs(instruction, escape_));
  for (auto& [name, value] : pairs.pairs) {
    ASSIGN_OR_RETURN(name, ExpandText(name));
    ASSIGN_OR_RETURN(value, ExpandText(value));
    if (name.empty()) {
      return absl::InvalidArgumentError("a name is empty");
    }
  }
  return std::move(pairs.pairs);
}

std::string StageMetadata::AbsolutePath(const std::string& path) const {
  const std::string base =
      absl::StartsWith(path, "/") ? "" : config_->config.working_dir;
  const bool slash =
      absl::EndsWith(path, "/") || path == "." || absl::EndsWith(path, "/.");
  const std::string clean = CleanRelative(absl::StrCat(base, "/", path));
  return absl::StrCat("/", clean, slash && !clean.empty() ? "/" : "");
}

absl::Status StageMetadata::Apply(const Instruction& instruction) {
  const std::string& keyword = instruction.keyword;
  ImageConfig& config = config_->config;
  if (keyword == "ARG") return ApplyArg(instruction);
  if (keyword == "ENV") return ApplyEnv(instruction);
  if (keyword == "LABEL") return ApplyLabel(instruction);
  if (keyword == "EXPOSE") return ApplyExpose(instruction);
  if (keyword == "WORKDIR") return ApplyWorkdir(instruction);
  if (keyword == "VOLUME") return ApplyVolume(instruction);
  if (keyword == "HEALTHCHECK") return ApplyHealthcheck(instruction);
  if (keyword == "STOPSIGNAL") return ApplyStopSignal(instruction);
  if (keyword == "CMD") {
    config.command = CommandWords(instruction, config_->shell);
    command_set_ = true;
  } else if (keyword == "ENTRYPOINT") {
    config.entrypoint = CommandWords(instruction, config_->shell);
    // A command of the base was meant for the base's entry point.
    if (!command_set_) config.command.clear();
  } else if (keyword == "USER") {
    ASSIGN_OR_RETURN(config.user, ExpandText(instruction.rest));
    if (config.user.empty()) {
      return absl::InvalidArgumentError("the name of the user is empty");
    }
  } else if (keyword == "SHELL") {
    config_->shell = instruction.words;
  } else if (keyword == "ONBUILD") {
    config_->on_build.push_back(TriggerText(instruction));
  } else if (keyword == "MAINTAINER") {
    config_->author = instruction.rest;
  } else {
    return absl::InvalidArgumentError("it is not allowed here");
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyArg(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::vector<ArgDeclaration> args,
                   ReadArgs(instruction, escape_));
  for (ArgDeclaration& arg : args) {
    if (arg.fallback.has_value()) {
      ASSIGN_OR_RETURN(arg.fallback, ExpandText(*arg.fallback));
    }
    scope_.Declare(arg.name, arg.fallback);
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyEnv(const Instruction& instruction) {
  // All values see the variables as they were before the instruction.
  ASSIGN_OR_RETURN(auto pairs, ExpandPairs(instruction));
  std::vector<std::string>& env = config_->config.env;
  for (const auto& [name, value] : pairs) {
    SetEnv(&env, name, value);
    if (env.size() > kMaxVariables) {
      return absl::InvalidArgumentError(
          absl::StrCat("there are more than ", kMaxVariables, " variables"));
    }
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyLabel(const Instruction& instruction) {
  ASSIGN_OR_RETURN(auto pairs, ExpandPairs(instruction));
  for (auto& [name, value] : pairs) {
    config_->config.labels[name] = std::move(value);
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyExpose(const Instruction& instruction) {
  // One variable may hold several ports.
  ASSIGN_OR_RETURN(
      std::vector<std::string> words,
      ExpandWords(instruction.rest, escape_, Variables(), &unset_));
  if (words.empty()) return absl::InvalidArgumentError("it names no port");
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(std::vector<std::string> ports, ParsePorts(word));
    // Ranges are short, and what they mean is not.
    expanded_bytes_ += ports.size() * 32;
    if (expanded_bytes_ > kMaxExpandedInStage) return TooMuch();
    AddNew(&config_->config.exposed_ports, std::move(ports));
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyVolume(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::vector<std::string> words, ExpandWordsOf(instruction));
  for (const std::string& word : words) {
    if (word.empty()) return absl::InvalidArgumentError("a path is empty");
  }
  AddNew(&config_->config.volumes, std::move(words));
  if (config_->config.volumes.size() > kMaxVolumes) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are more than ", kMaxVolumes, " volumes"));
  }
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyWorkdir(const Instruction& instruction) {
  ASSIGN_OR_RETURN(const std::string path, ExpandText(instruction.rest));
  if (path.empty()) return absl::InvalidArgumentError("the path is empty");
  std::string directory = AbsolutePath(path);
  if (directory.size() > 1 && absl::EndsWith(directory, "/")) {
    directory.pop_back();
  }
  config_->config.working_dir = std::move(directory);
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyStopSignal(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::string signal, ExpandText(instruction.rest));
  if (!ParseSignal(signal).has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", signal, "\" is not a signal; write it like SIGTERM or SIGQUIT"));
  }
  config_->config.stop_signal = std::move(signal);
  return absl::OkStatus();
}

absl::Status StageMetadata::ApplyHealthcheck(const Instruction& instruction) {
  ASSIGN_OR_RETURN(const HealthcheckForm form, ReadHealthcheck(instruction));
  if (form.none) {
    config_->config.healthcheck.reset();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const HealthcheckFlags flags,
                   ReadHealthcheckFlags(instruction));
  ImageHealthcheck check;
  Instruction command;
  command.exec_form = form.exec_form;
  command.words = form.words;
  command.rest = form.command;
  check.command = CommandWords(command, config_->shell);
  check.interval = flags.interval;
  check.timeout = flags.timeout;
  check.start_period = flags.start_period;
  check.start_interval = flags.start_interval;
  check.retries = flags.retries;
  config_->config.healthcheck = std::move(check);
  return absl::OkStatus();
}

}  // namespace bulwark::engine::build
