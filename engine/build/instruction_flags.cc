#include "engine/build/instruction_flags.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

enum class Kind { kText, kSwitch, kList };

using Table = std::map<std::string, Kind>;

const Table& FlagsOf(const std::string& keyword) {
  static const auto* const tables = new std::map<std::string, Table>{
      {"FROM", {{"platform", Kind::kText}}},
      {"RUN",
       {{"mount", Kind::kList},
        {"network", Kind::kText},
        {"security", Kind::kText},
        {"device", Kind::kList}}},
      {"COPY",
       {{"from", Kind::kText},
        {"chown", Kind::kText},
        {"chmod", Kind::kText},
        {"link", Kind::kSwitch},
        {"parents", Kind::kSwitch},
        {"exclude", Kind::kList}}},
      {"ADD",
       {{"chown", Kind::kText},
        {"chmod", Kind::kText},
        {"link", Kind::kSwitch},
        {"exclude", Kind::kList},
        {"keep-git-dir", Kind::kSwitch},
        {"checksum", Kind::kText},
        {"unpack", Kind::kSwitch}}},
      {"HEALTHCHECK",
       {{"interval", Kind::kText},
        {"timeout", Kind::kText},
        {"start-period", Kind::kText},
        {"start-interval", Kind::kText},
        {"retries", Kind::kText}}},
  };
  static const Table* const none = new Table;
  auto it = tables->find(keyword);
  return it == tables->end() ? *none : it->second;
}

absl::Status UnknownFlag(const Instruction& instruction,
                         const std::string& name, const Table& table) {
  if (table.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", name, ": ", instruction.keyword,
                     " takes no flags; put \"--\" before it if it is an"
                     " argument"));
  }
  std::vector<std::string> names;
  for (const auto& [known, kind] : table) names.push_back("--" + known);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name, Suggestion(absl::StrCat("--", name), names),
      " (", instruction.keyword, " takes ", absl::StrJoin(names, ", "), ")"));
}

absl::Status CheckSwitch(const std::string& name, bool bare,
                         std::string* value) {
  if (bare) *value = "true";
  std::string lower = absl::AsciiStrToLower(*value);
  if (lower == "true" || lower == "false") {
    *value = lower;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, "=", *value, ": it is a switch, true or false"));
}

// A "$" that would have to be replaced.
bool HasVariable(absl::string_view text) {
  size_t at = text.find('$');
  return at != absl::string_view::npos && at + 1 < text.size();
}

absl::Status CheckFrom(absl::string_view value) {
  if (value.empty()) {
    return absl::InvalidArgumentError("--from= needs a stage or an image");
  }
  if (!HasVariable(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--from=", value,
      ": variables are not replaced here, because stages are chosen before;"
      " name it with FROM ",
      value, " AS name, and use --from=name"));
}

absl::StatusOr<absl::Duration> ReadDuration(const std::string& name,
                                            const std::string& value) {
  absl::Duration result;
  bool good = absl::ParseDuration(value, &result) &&
              result >= absl::ZeroDuration() &&
              result != absl::InfiniteDuration();
  if (good &&
      (result == absl::ZeroDuration() || result >= absl::Milliseconds(1))) {
    return result;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, "=", value,
                   ": it is not a duration of at least 1ms such as 500ms, 30s"
                   " or 1m30s"));
}

absl::Status CheckValues(const Instruction& instruction) {
  // Values with variables are checked when they are known.
  const ExpandText expand = [](absl::string_view text) {
    return NoExpansion(text);
  };
  Instruction known = instruction;
  auto& flags = known.flags;
  const auto variable = [](const std::pair<std::string, std::string>& flag) {
    return flag.first != "from" && HasVariable(flag.second);
  };
  flags.erase(std::remove_if(flags.begin(), flags.end(), variable),
              flags.end());
  if (known.keyword == "RUN") return ReadRunFlags(known, expand).status();
  if (known.keyword == "COPY" || known.keyword == "ADD") {
    return ReadCopyFlags(known, expand).status();
  }
  if (known.keyword == "HEALTHCHECK") {
    return ReadHealthcheckFlags(instruction).status();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> NoExpansion(absl::string_view text) {
  return std::string(text);
}

absl::Status CheckFlags(Instruction* instruction,
                        const std::set<std::string>& bare) {
  if (instruction->flags.empty()) return absl::OkStatus();
  const Table& table = FlagsOf(instruction->keyword);
  std::set<std::string> seen;
  for (auto& [name, value] : instruction->flags) {
    auto it = table.find(name);
    if (it == table.end()) return UnknownFlag(*instruction, name, table);
    const bool is_bare = bare.count(name) > 0;
    if (it->second != Kind::kList && !seen.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " is given twice"));
    }
    if (it->second == Kind::kSwitch) {
      RETURN_IF_ERROR(CheckSwitch(name, is_bare, &value));
    } else if (is_bare) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value: --", name, "=VALUE"));
    }
  }
  return CheckValues(*instruction);
}

absl::StatusOr<RunFlags> ReadRunFlags(const Instruction& instruction,
                                      const ExpandText& expand) {
  RunFlags result;
  for (const auto& [name, value] : instruction.flags) {
    if (name == "mount") {
      absl::StatusOr<RunMount> mount = ParseRunMount(value, expand);
      if (!mount.ok()) {
        return Annotate(mount.status(), absl::StrCat("--mount=", value));
      }
      result.mounts.push_back(*std::move(mount));
    } else if (name == "network") {
      if (value == "none") {
        result.network = RunFlags::Network::kNone;
      } else if (value == "host") {
        result.network = RunFlags::Network::kHost;
      } else if (value != "default") {
        return absl::InvalidArgumentError(
            absl::StrCat("--network=", value, ": it is default, none or host"));
      }
    } else if (name == "security") {
      if (value != "insecure" && value != "sandbox") {
        return absl::InvalidArgumentError(
            absl::StrCat("--security=", value, ": it is sandbox or insecure"));
      }
      result.insecure = value == "insecure";
    } else if (name == "device") {
      return absl::InvalidArgumentError(
          absl::StrCat("--device=", value,
                       ": build steps get no devices of the host, whose state"
                       " no image could reproduce; use the device in a"
                       " container of the finished image"));
    }
  }
  return result;
}

absl::StatusOr<CopyFlags> ReadCopyFlags(const Instruction& instruction,
                                        const ExpandText& expand) {
  CopyFlags result;
  for (const auto& [name, written] : instruction.flags) {
    if (name == "from") {
      RETURN_IF_ERROR(CheckFrom(written));
      result.from = written;
      continue;
    }
    ASSIGN_OR_RETURN(std::string value, expand(written));
    if (name == "chown") {
      result.chown = std::move(value);
    } else if (name == "chmod") {
      result.chmod = std::move(value);
    } else if (name == "link") {
      result.link = value == "true";
    } else if (name == "parents") {
      result.parents = value == "true";
    } else if (name == "exclude") {
      result.exclude.push_back(std::move(value));
    } else if (name == "keep-git-dir") {
      result.keep_git_dir = value == "true";
    } else if (name == "checksum") {
      result.checksum = std::move(value);
    } else if (name == "unpack") {
      result.unpack = value == "true";
    }
  }
  return result;
}

absl::StatusOr<HealthcheckFlags> ReadHealthcheckFlags(
    const Instruction& instruction) {
  HealthcheckFlags result;
  for (const auto& [name, value] : instruction.flags) {
    if (name == "retries") {
      if (!absl::SimpleAtoi(value, &result.retries) || result.retries < 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--retries=", value, ": it is not a number from 0 on"));
      }
      continue;
    }
    ASSIGN_OR_RETURN(absl::Duration duration, ReadDuration(name, value));
    if (name == "interval") result.interval = duration;
    if (name == "timeout") result.timeout = duration;
    if (name == "start-period") result.start_period = duration;
    if (name == "start-interval") result.start_interval = duration;
  }
  return result;
}

std::string PlatformFlag(const Instruction& from) {
  for (const auto& [name, value] : from.flags) {
    if (name == "platform") return value;
  }
  return "";
}

}  // namespace bulwark::engine::build
