// RUN --mount=type=…,option=value
#include <limits>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/build/instruction_flags.h"

namespace bulwark::engine::build {
namespace {

using Type = RunMount::Type;

constexpr char kSecrets[] = "/run/secrets/";

// Comma-separated, where a field in double quotes may hold commas, and "" in it
// is a quote.
absl::StatusOr<std::vector<std::string>> SplitFields(absl::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"') {
      if (i + 1 < text.size() && text[i + 1] == '"') {
        fields.back().push_back(text[++i]);
        continue;
      }
      quoted = false;
      if (i + 1 < text.size() && text[i + 1] != ',') {
        return absl::InvalidArgumentError(
            "only a comma may follow a quoted option");
      }
    } else if (!quoted && c == ',') {
      fields.emplace_back();
    } else if (!quoted && c == '"') {
      if (!fields.back().empty()) {
        return absl::InvalidArgumentError(
            "quotes must enclose the whole option: \"source=a,b\"");
      }
      quoted = true;
    } else {
      fields.back().push_back(c);
    }
  }
  if (quoted) return absl::InvalidArgumentError("a \" has no counterpart");
  return fields;
}

std::string LastPart(const std::string& path) {
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  return parts.empty() ? "" : parts.back();
}

const char* NameOf(Type type) {
  switch (type) {
    case Type::kBind:
      return "bind";
    case Type::kCache:
      return "cache";
    case Type::kTmpfs:
      return "tmpfs";
    case Type::kSecret:
      return "secret";
  }
  return "";
}

// Each option's own name, and the types of mounts that take it.
struct Option {
  const char* name;
  const char* types;
};
const std::map<std::string, Option>& Options() {
  static const auto* const options = new std::map<std::string, Option>{
      {"type", {"type", "bind cache tmpfs secret"}},
      {"from", {"from", "bind cache"}},
      {"source", {"source", "bind cache secret"}},
      {"src", {"source", "bind cache secret"}},
      {"target", {"target", "bind cache tmpfs secret"}},
      {"dst", {"target", "bind cache tmpfs secret"}},
      {"destination", {"target", "bind cache tmpfs secret"}},
      {"readonly", {"readonly", "bind cache tmpfs"}},
      {"ro", {"readonly", "bind cache tmpfs"}},
      {"readwrite", {"readwrite", "bind cache tmpfs"}},
      {"rw", {"readwrite", "bind cache tmpfs"}},
      {"id", {"id", "cache secret"}},
      {"sharing", {"sharing", "cache"}},
      {"required", {"required", "secret"}},
      {"env", {"env", "secret"}},
      {"mode", {"mode", "cache secret"}},
      {"uid", {"uid", "cache secret"}},
      {"gid", {"gid", "cache secret"}},
      {"size", {"size", "tmpfs"}},
  };
  return *options;
}

std::string OptionsFor(Type type) {
  std::string result;
  for (const auto& [name, option] : Options()) {
    if (name != option.name || !absl::StrContains(option.types, NameOf(type))) {
      continue;
    }
    absl::StrAppend(&result, result.empty() ? "" : ", ", name);
  }
  return result;
}

// "64m", "1g", "1GiB": powers of 1024, as for memory everywhere in Docker.
absl::StatusOr<int64_t> ParseSize(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  size_t digits = lower.find_first_not_of("0123456789.");
  absl::string_view unit = lower;
  double number = 0;
  if (digits == std::string::npos) digits = lower.size();
  unit.remove_prefix(digits);
  unit = absl::StripAsciiWhitespace(unit);
  static const auto* const units = new std::map<std::string, int>{
      {"", 0},     {"b", 0},   {"k", 10},   {"kb", 10}, {"kib", 10},
      {"m", 20},   {"mb", 20}, {"mib", 20}, {"g", 30},  {"gb", 30},
      {"gib", 30}, {"t", 40},  {"tb", 40},  {"tib", 40}};
  auto it = units->find(std::string(unit));
  if (it == units->end() ||
      !absl::SimpleAtod(lower.substr(0, digits), &number) ||
      number * static_cast<double>(int64_t{1} << it->second) > 1e17) {
    return absl::InvalidArgumentError(
        absl::StrCat("size=", text, ": it is not a size such as 64m or 1g"));
  }
  return static_cast<int64_t>(number *
                              static_cast<double>(int64_t{1} << it->second));
}

absl::StatusOr<bool> ParseBool(absl::string_view name, std::string value) {
  value = absl::AsciiStrToLower(value);
  if (value == "1" || value == "t" || value == "true") return true;
  if (value == "0" || value == "f" || value == "false") return false;
  return absl::InvalidArgumentError(
      absl::StrCat(name, "=", value, ": it is true or false"));
}

absl::StatusOr<uint32_t> ParseNumber(absl::string_view name,
                                     const std::string& value, int base) {
  uint64_t number = 0;
  bool good = !value.empty() && value.size() <= 11;
  for (char c : value) {
    good = good && c >= '0' && c < '0' + base;
    number = number * base + (c - '0');
  }
  const uint64_t most =
      base == 8 ? 07777 : std::numeric_limits<uint32_t>::max() - 1;
  if (good && number <= most) return static_cast<uint32_t>(number);
  return absl::InvalidArgumentError(
      absl::StrCat(name, "=", value,
                   base == 8 ? ": it is not an octal mode such as 0400"
                             : ": it is not a number"));
}

absl::Status SetType(const std::string& value, RunMount* mount) {
  const std::string type = absl::AsciiStrToLower(value);
  if (type == "ssh") {
    return absl::InvalidArgumentError(
        "type=ssh is not supported: an agent's socket would let a step sign"
        " anything as long as it runs; give it one key with type=secret, or"
        " fetch with ADD");
  }
  for (Type known : {Type::kBind, Type::kCache, Type::kTmpfs, Type::kSecret}) {
    if (type != NameOf(known)) continue;
    mount->type = known;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "type=", value, Suggestion(value, {"bind", "cache", "tmpfs", "secret"}),
      " (it is bind, cache, tmpfs or secret)"));
}

absl::Status SetSharing(const std::string& value, RunMount* mount) {
  const std::string sharing = absl::AsciiStrToLower(value);
  if (sharing == "shared") {
    mount->sharing = RunMount::Sharing::kShared;
  } else if (sharing == "private") {
    mount->sharing = RunMount::Sharing::kPrivate;
  } else if (sharing == "locked") {
    mount->sharing = RunMount::Sharing::kLocked;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("sharing=", value, ": it is shared, private or locked"));
  }
  return absl::OkStatus();
}

absl::Status SetFrom(const std::string& value, RunMount* mount) {
  if (absl::StrContains(value, "$")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "from=", value,
        ": variables are not replaced here, because stages are chosen before;"
        " name it with FROM ",
        value, " AS name, and use from=name"));
  }
  mount->from = value;
  return absl::OkStatus();
}

absl::Status SetOption(const std::string& name, const std::string& value,
                       RunMount* mount) {
  if (name == "source") {
    mount->source = value;
  } else if (name == "target") {
    mount->target = value;
  } else if (name == "id") {
    mount->id = value;
  } else if (name == "env") {
    mount->env = value;
  } else if (name == "sharing") {
    return SetSharing(value, mount);
  } else if (name == "readonly") {
    ASSIGN_OR_RETURN(mount->read_only, ParseBool(name, value));
  } else if (name == "readwrite") {
    ASSIGN_OR_RETURN(bool writable, ParseBool(name, value));
    mount->read_only = !writable;
  } else if (name == "required") {
    ASSIGN_OR_RETURN(mount->required, ParseBool(name, value));
  } else if (name == "mode") {
    ASSIGN_OR_RETURN(mount->mode, ParseNumber(name, value, 8));
  } else if (name == "uid") {
    ASSIGN_OR_RETURN(mount->uid, ParseNumber(name, value, 10));
  } else if (name == "gid") {
    ASSIGN_OR_RETURN(mount->gid, ParseNumber(name, value, 10));
  } else if (name == "size") {
    ASSIGN_OR_RETURN(mount->size_bytes, ParseSize(value));
  }
  return absl::OkStatus();
}

absl::Status FillIn(RunMount* mount) {
  if (mount->type == Type::kSecret) {
    if (!mount->source.empty() && !mount->id.empty()) {
      return absl::InvalidArgumentError(
          "id and source both name the secret; give one of them");
    }
    if (mount->id.empty()) mount->id = mount->source;
    if (mount->id.empty()) mount->id = LastPart(mount->target);
    if (mount->id.empty()) {
      return absl::InvalidArgumentError("a secret needs id= or target=");
    }
    if (mount->target.empty() && mount->env.empty()) {
      mount->target = kSecrets + LastPart(mount->id);
    }
    mount->source.clear();
    return absl::OkStatus();
  }
  if (mount->target.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", NameOf(mount->type), " mount needs target=PATH"));
  }
  if (mount->target.find_first_not_of("/.") == std::string::npos &&
      mount->target[0] == '/') {
    return absl::InvalidArgumentError(
        "target=/ would hide the whole image; name a directory below it");
  }
  if (mount->type == Type::kCache && mount->id.empty()) {
    mount->id = mount->target;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunMount> ParseRunMount(absl::string_view value,
                                       const ExpandText& expand) {
  ASSIGN_OR_RETURN(std::vector<std::string> fields, SplitFields(value));
  // The type first, wherever it stands: it says what else is allowed.
  RunMount result;
  std::vector<std::pair<std::string, std::string>> options;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    const std::string name = absl::AsciiStrToLower(field.substr(0, equals));
    auto it = Options().find(name);
    if (it == Options().end()) {
      std::vector<std::string> known;
      for (const auto& [other, option] : Options()) known.push_back(other);
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown option \"", field, "\"", Suggestion(name, known)));
    }
    const std::string own = it->second.name;
    std::string text;
    if (equals != std::string::npos && own == "from") {
      RETURN_IF_ERROR(SetFrom(field.substr(equals + 1), &result));
    } else if (equals != std::string::npos) {
      ASSIGN_OR_RETURN(text, expand(field.substr(equals + 1)));
    } else if (own == "readonly" || own == "readwrite" || own == "required") {
      text = "true";
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", field, "\" needs a value: ", name, "=VALUE"));
    }
    if (own == "type") RETURN_IF_ERROR(SetType(text, &result));
    options.emplace_back(own, std::move(text));
  }
  result.read_only = result.type == Type::kBind || result.type == Type::kSecret;
  for (const auto& [name, text] : options) {
    if (!absl::StrContains(Options().at(name).types, NameOf(result.type))) {
      return absl::InvalidArgumentError(
          absl::StrCat("a ", NameOf(result.type), " mount has no ", name,
                       "; it takes ", OptionsFor(result.type)));
    }
    RETURN_IF_ERROR(SetOption(name, text, &result));
  }
  RETURN_IF_ERROR(FillIn(&result));
  return result;
}

}  // namespace bulwark::engine::build
