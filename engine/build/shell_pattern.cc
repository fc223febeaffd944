#include "engine/build/shell_pattern.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

// Steps of one search.
constexpr size_t kMaxWork = 64 << 20;

// UTF-8 characters; bytes that are none stand for themselves.
std::vector<absl::string_view> Split(absl::string_view text) {
  std::vector<absl::string_view> result;
  while (!text.empty()) {
    const unsigned char lead = static_cast<unsigned char>(text[0]);
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    size_t have = 1;
    while (have < size && have < text.size() &&
           (static_cast<unsigned char>(text[have]) & 0xc0) == 0x80) {
      ++have;
    }
    if (have < size) have = 1;
    result.push_back(text.substr(0, have));
    text.remove_prefix(have);
  }
  return result;
}

}  // namespace

absl::StatusOr<ShellPattern> ShellPattern::Parse(absl::string_view text) {
  ShellPattern result;
  const Characters characters = Split(text);
  for (size_t i = 0; i < characters.size(); ++i) {
    absl::string_view c = characters[i];
    if (c == "*") {
      // Two in a row match no more than one.
      if (result.tokens_.empty() ||
          result.tokens_.back().kind != Token::Kind::kAny) {
        result.tokens_.push_back({Token::Kind::kAny, ""});
      }
      continue;
    }
    if (c == "?") {
      result.tokens_.push_back({Token::Kind::kOne, ""});
      continue;
    }
    if (c == "\\") {
      absl::string_view next =
          i + 1 < characters.size() ? characters[i + 1] : "";
      if (next == "}" || next == "/") continue;
      if (next != "*" && next != "?" && next != "\\") {
        return absl::InvalidArgumentError(
            absl::StrCat("\"\\", next, "\" in the pattern \"", text,
                         "\": only *, ?, /, } and \\ can follow a \\"));
      }
      c = next;
      ++i;
    }
    result.tokens_.push_back({Token::Kind::kText, std::string(c)});
  }
  return result;
}

absl::Status ShellPattern::CheckSize(const Characters& value) const {
  if ((value.size() + 1) * (tokens_.size() + 1) <= kMaxWork) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "the pattern and the value are too long for a search");
}

int64_t ShellPattern::Match(const std::vector<Token>& tokens,
                            const Characters& value, size_t start,
                            bool longest) {
  // at[i]: the first i tokens match what was read.
  std::vector<char> at(tokens.size() + 1, 0);
  at[0] = 1;
  const auto skip_stars = [&] {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (at[i] && tokens[i].kind == Token::Kind::kAny) at[i + 1] = 1;
    }
  };
  skip_stars();
  int64_t found = at.back() ? static_cast<int64_t>(start) : -1;
  for (size_t n = start; n < value.size(); ++n) {
    if (found >= 0 && !longest) return found;
    std::vector<char> next(at.size(), 0);
    bool alive = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!at[i]) continue;
      const Token& token = tokens[i];
      if (token.kind == Token::Kind::kText) {
        if (token.text != value[n]) continue;
        next[i + 1] = 1;
      } else if (value[n] == "\n") {
        continue;
      } else {
        next[token.kind == Token::Kind::kAny ? i : i + 1] = 1;
      }
      alive = true;
    }
    at.swap(next);
    if (!alive) break;
    skip_stars();
    if (at.back()) found = static_cast<int64_t>(n) + 1;
  }
  return found;
}

absl::StatusOr<std::string> ShellPattern::TrimPrefix(absl::string_view value,
                                                     bool longest) const {
  const Characters characters = Split(value);
  RETURN_IF_ERROR(CheckSize(characters));
  int64_t end = Match(tokens_, characters, 0, longest);
  for (int64_t i = 0; i < end; ++i) value.remove_prefix(characters[i].size());
  return std::string(value);
}

absl::StatusOr<std::string> ShellPattern::TrimSuffix(absl::string_view value,
                                                     bool longest) const {
  Characters characters = Split(value);
  RETURN_IF_ERROR(CheckSize(characters));
  std::vector<Token> tokens = tokens_;
  std::reverse(tokens.begin(), tokens.end());
  std::reverse(characters.begin(), characters.end());
  int64_t end = Match(tokens, characters, 0, longest);
  for (int64_t i = 0; i < end; ++i) value.remove_suffix(characters[i].size());
  return std::string(value);
}

absl::StatusOr<std::string> ShellPattern::Replace(absl::string_view value,
                                                  absl::string_view replacement,
                                                  bool all) const {
  const Characters characters = Split(value);
  RETURN_IF_ERROR(CheckSize(characters));
  if (tokens_.empty()) return std::string(value);
  size_t star = 0;
  while (star < tokens_.size() && tokens_[star].kind != Token::Kind::kAny) {
    ++star;
  }
  const std::vector<Token> head(tokens_.begin(), tokens_.begin() + star);
  std::string result;
  for (size_t i = 0; i < characters.size();) {
    // What follows a star would be found from any later place, too: once it
    // was not, nothing more can match. That keeps the time linear.
    int64_t end = -1;
    if (Match(head, characters, i, false) >= 0) {
      end = Match(tokens_, characters, i, true);
      if (end < 0 && star < tokens_.size()) {
        for (; i < characters.size(); ++i)
          absl::StrAppend(&result, characters[i]);
        break;
      }
    }
    if (end <= static_cast<int64_t>(i)) {
      absl::StrAppend(&result, characters[i++]);
      continue;
    }
    absl::StrAppend(&result, replacement);
    i = static_cast<size_t>(end);
    if (all) continue;
    for (; i < characters.size(); ++i) absl::StrAppend(&result, characters[i]);
  }
  return result;
}

}  // namespace bulwark::engine::build
