#include "manifest/substitute.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bulwark::manifest {
namespace {

// A marker is kStart, one character that stands for the reference's index
// (the supplementary private use plane), and fillers up to the width of what
// it replaces. All are printable for YAML and special to nobody.
constexpr absl::string_view kStart = "\xee\x80\x80";   // U+E000
constexpr absl::string_view kFiller = "\xee\x80\x81";  // U+E001
constexpr uint32_t kIndexBase = 0xF0000;
constexpr size_t kMaxReferences = 60000;

std::string EncodeIndex(size_t index) {
  const uint32_t c = kIndexBase + static_cast<uint32_t>(index);
  return {static_cast<char>(0xF0 | (c >> 18)),
          static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
          static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
          static_cast<char>(0x80 | (c & 0x3F))};
}

// The index written at the front of `text`, or -1.
int64_t DecodeIndex(absl::string_view text) {
  if (text.size() < 4 || (text[0] & 0xF8) != 0xF0) return -1;
  uint32_t c = (text[0] & 0x07) << 18 | (text[1] & 0x3F) << 12 |
               (text[2] & 0x3F) << 6 | (text[3] & 0x3F);
  return static_cast<int64_t>(c) - kIndexBase;
}

size_t Characters(absl::string_view text) {
  size_t count = 0;
  for (char c : text) count += (c & 0xC0) != 0x80;
  return count;
}

bool IsName(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_') return false;
  }
  return true;
}

}  // namespace

std::string Substitution::Protect(absl::string_view text) {
  if (!lookup_) return std::string(text);
  std::string out;
  Mark mark{1, 1};
  auto replace = [&](size_t length, Reference reference) {
    reference.mark = mark;
    const size_t width = Characters(text.substr(0, length));
    absl::StrAppend(&out, kStart, EncodeIndex(references_.size()));
    for (size_t i = 2; i < width; ++i) absl::StrAppend(&out, kFiller);
    references_.push_back(std::move(reference));
    mark.column += static_cast<int>(width);
    text.remove_prefix(length);
  };
  while (!text.empty()) {
    const bool room = references_.size() < kMaxReferences;
    if (room && absl::StartsWith(text, "$$")) {
      replace(2, {.literal = "$"});
    } else if (room && absl::StartsWith(text, "${")) {
      const size_t end = text.find_first_of("}\n");
      const bool closed = end != absl::string_view::npos && text[end] == '}';
      // An unclosed one is reported where its line is used.
      const size_t length = closed ? end + 1 : 2;
      replace(length, {.body = closed ? std::string(text.substr(2, end - 2))
                                      : std::string(),
                       .closed = closed});
    } else if (room && absl::StartsWith(text, kStart)) {
      replace(kStart.size(), {.literal = std::string(kStart)});
    } else if (room && absl::StartsWith(text, kFiller)) {
      replace(kFiller.size(), {.literal = std::string(kFiller)});
    } else {
      if (text[0] == '\n') {
        mark = {mark.line + 1, 1};
      } else if ((text[0] & 0xC0) != 0x80) {
        ++mark.column;
      }
      out.push_back(text[0]);
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string Substitution::Expand(absl::string_view scalar,
                                 std::vector<Problem>& problems) const {
  std::string out;
  while (!scalar.empty()) {
    const size_t start =
        references_.empty() ? absl::string_view::npos : scalar.find(kStart);
    absl::StrAppend(&out, scalar.substr(0, start));
    if (start == absl::string_view::npos) break;
    scalar.remove_prefix(start + kStart.size());
    const int64_t index = DecodeIndex(scalar);
    if (index < 0 || index >= static_cast<int64_t>(references_.size())) {
      absl::StrAppend(&out, kStart);
      continue;
    }
    scalar.remove_prefix(4);
    while (absl::ConsumePrefix(&scalar, kFiller)) {
    }
    absl::StrAppend(&out, Value(references_[index], problems));
  }
  return out;
}

std::string Substitution::Value(const Reference& reference,
                                std::vector<Problem>& problems) const {
  if (reference.literal) return *reference.literal;
  auto fail = [&](std::string message, std::string remedy) {
    problems.push_back(
        {{file_, reference.mark}, "", std::move(message), std::move(remedy)});
    return std::string();
  };
  if (!reference.closed) {
    return fail("\"${\" without \"}\"", "write \"$${\" for the characters");
  }
  const absl::string_view body = reference.body;
  size_t end = 0;
  while (end < body.size() &&
         (absl::ascii_isalnum(body[end]) || body[end] == '_')) {
    ++end;
  }
  const absl::string_view name = body.substr(0, end);
  absl::string_view rest = body.substr(end);
  const bool empty_counts = absl::ConsumePrefix(&rest, ":");
  const char how = rest.empty() ? 0 : rest[0];
  if (!IsName(name) || (rest.empty() && empty_counts) ||
      (how != 0 && how != '-' && how != '?') || absl::StrContains(rest, "${")) {
    return fail(absl::StrCat("\"${", body, "}\" is not a variable"),
                "write ${NAME}, ${NAME:-default} or ${NAME:?message}, or "
                "\"$${\" for the characters");
  }
  std::optional<std::string> value = lookup_(name);
  if (value && !(empty_counts && value->empty())) return *value;
  if (how == '-') return std::string(rest.substr(1));
  if (how == '?' && rest.size() > 1) {
    return fail(absl::StrCat("variable ", name, ": ", rest.substr(1)), "");
  }
  return fail(absl::StrCat("variable ", name, " is not set"),
              absl::StrCat("set it in the environment or with --env-file, or "
                           "write ${",
                           name, ":-default}"));
}

std::string EscapeVariables(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t run = 0;
    while (run < text.size() && text[run] == '$') ++run;
    if (run == 0) {
      const size_t next = std::min(text.find('$'), text.size());
      absl::StrAppend(&out, text.substr(0, next));
      text.remove_prefix(next);
      continue;
    }
    const bool special = run > 1 || (run < text.size() && text[run] == '{');
    out.append(special ? 2 * run : run, '$');
    text.remove_prefix(run);
  }
  return out;
}

namespace {

// The value after "=", without its quotes; nullopt if they do not match.
std::optional<std::string> EnvValue(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (text.empty()) return "";
  const char quote = text[0];
  if (quote != '"' && quote != '\'') {
    if (size_t comment = text.find(" #"); comment != absl::string_view::npos) {
      text = absl::StripAsciiWhitespace(text.substr(0, comment));
    }
    return std::string(text);
  }
  std::string out;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == quote) {
      absl::string_view rest = absl::StripAsciiWhitespace(text.substr(i + 1));
      if (!rest.empty() && rest[0] != '#') return std::nullopt;
      return out;
    }
    if (quote == '"' && text[i] == '\\' && i + 1 < text.size()) {
      const char c = text[++i];
      out.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c);
    } else {
      out.push_back(text[i]);
    }
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseEnvFile(
    absl::string_view file, absl::string_view text) {
  std::map<std::string, std::string> out;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (absl::ConsumePrefix(&line, "export ")) {
      line = absl::StripLeadingAsciiWhitespace(line);
    }
    const size_t equals = line.find('=');
    const absl::string_view name =
        absl::StripAsciiWhitespace(line.substr(0, equals));
    std::optional<std::string> value;
    if (equals != absl::string_view::npos && IsName(name)) {
      value = EnvValue(line.substr(equals + 1));
    }
    if (!value) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ":", line_number, ": expected NAME=value"));
    }
    out[std::string(name)] = *value;
  }
  return out;
}

}  // namespace bulwark::manifest
