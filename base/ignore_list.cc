#include "base/ignore_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark {
namespace {

constexpr size_t kMaxPatterns = 10'000;
constexpr size_t kMaxPattern = 4096;

// UTF-8 as numbers; bytes that are none stand for themselves, above all
// characters.
std::vector<char32_t> Decode(absl::string_view text) {
  std::vector<char32_t> result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    char32_t c = lead;
    bool good = lead < 0x80 || (lead >= 0xc2 && lead < 0xf5);
    if (size > 1) c = lead & (0xff >> (size + 1));
    for (size_t k = 1; good && k < size; ++k) {
      const unsigned char next =
          i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0;
      good = (next & 0xc0) == 0x80;
      c = (c << 6) | (next & 0x3f);
    }
    result.push_back(good ? c : 0x110000 + lead);
    i += good ? size : 1;
  }
  return result;
}

// Without empty and "." components; ".." takes one away, but stays where there
// is none to take (and then matches nothing).
std::string Clean(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  return absl::StrJoin(parts, "/");
}

}  // namespace

absl::StatusOr<std::vector<IgnoreList::Token>> IgnoreList::Compile(
    absl::string_view pattern) {
  using Kind = Token::Kind;
  const std::vector<char32_t> text = Decode(pattern);
  std::vector<Token> tokens;
  bool literal = true;  // but for a "**" at the very beginning
  const auto range_end = [&text](size_t* i, char32_t* c) {
    if (*i < text.size() && text[*i] == '\\') ++*i;
    if (*i >= text.size()) return false;
    *c = text[(*i)++];
    return true;
  };
  for (size_t i = 0; i < text.size();) {
    const char32_t c = text[i++];
    Token token{Kind::kText, c, false, {}};
    if (c == '*' && i < text.size() && text[i] == '*') {
      ++i;
      if (i < text.size() && text[i] == '/') ++i;
      token.kind = i == text.size() ? Kind::kDeep : Kind::kDeepSlash;
      if (!tokens.empty()) literal = false;
    } else if (c == '*' || c == '?') {
      token.kind = c == '*' ? Kind::kMany : Kind::kOne;
      literal = false;
    } else if (c == '\\') {
      if (i == text.size()) {
        return absl::InvalidArgumentError("there is nothing after the last \\");
      }
      token.low = text[i++];
      literal = false;
    } else if (c == '[') {
      token.kind = Kind::kClass;
      literal = false;
      token.negated = i < text.size() && text[i] == '^';
      if (token.negated) ++i;
      bool closed = false;
      while (i < text.size()) {
        if (text[i] == ']' && !token.ranges.empty()) {
          closed = true;
          ++i;
          break;
        }
        if (text[i] == ']' || text[i] == '-') break;
        std::pair<char32_t, char32_t> range;
        if (!range_end(&i, &range.first)) break;
        range.second = range.first;
        if (i < text.size() && text[i] == '-') {
          ++i;
          if (i >= text.size() || text[i] == ']' || text[i] == '-' ||
              !range_end(&i, &range.second)) {
            break;
          }
        }
        token.ranges.push_back(range);
      }
      if (!closed) {
        return absl::InvalidArgumentError(
            "a [ needs characters or ranges, and a ]; write \\[ for the "
            "character itself");
      }
    }
    tokens.push_back(std::move(token));
  }
  // "**name" is any path that ends so, also within a component; but only where
  // nothing else in the pattern is special.
  const bool has_slash = pattern.size() > 2 && pattern[2] == '/';
  if (literal && !tokens.empty() && tokens[0].kind == Kind::kDeepSlash &&
      !has_slash) {
    tokens[0].kind = Kind::kDeep;
  }
  return tokens;
}

bool IgnoreList::Matches(const Token& token, char32_t c) {
  switch (token.kind) {
    case Token::Kind::kText:
      return c == token.low;
    case Token::Kind::kOne:
    case Token::Kind::kMany:
      return c != '/';
    case Token::Kind::kDeep:
    case Token::Kind::kDeepSlash:
      return true;
    case Token::Kind::kClass: {
      const bool in = std::any_of(
          token.ranges.begin(), token.ranges.end(), [c](const auto& range) {
            return range.first <= c && c <= range.second;
          });
      return in != token.negated;
    }
  }
  return false;
}

bool IgnoreList::MatchesOrAbove(const Pattern& pattern,
                                const std::vector<char32_t>& path) {
  using Kind = Token::Kind;
  const std::vector<Token>& tokens = pattern.tokens;
  // at[i]: the first i tokens match what was read.
  std::vector<char> at(tokens.size() + 1, 0);
  std::vector<char> next(at.size());
  at[0] = 1;
  // fresh[i]: place i was just reached, so that token i has read nothing.
  std::vector<char> fresh(at.size(), 0);
  fresh[0] = 1;
  // What may be nothing is skipped. A kDeepSlash that has read something is
  // left only by a "/", below.
  const auto skip = [&] {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const Kind kind = tokens[i].kind;
      if (at[i] && (kind == Kind::kMany || kind == Kind::kDeep ||
                    (kind == Kind::kDeepSlash && fresh[i]))) {
        at[i + 1] = fresh[i + 1] = 1;
      }
    }
  };
  skip();
  for (size_t n = 0; n < path.size(); ++n) {
    const char32_t c = path[n];
    if (c == '/' && at.back()) return true;
    std::fill(next.begin(), next.end(), 0);
    std::fill(fresh.begin(), fresh.end(), 0);
    bool alive = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!at[i] || !Matches(tokens[i], c)) continue;
      alive = true;
      switch (tokens[i].kind) {
        case Kind::kMany:
        case Kind::kDeep:
          next[i] = 1;
          break;
        case Kind::kDeepSlash:
          next[i] = 1;
          if (c == '/') next[i + 1] = fresh[i + 1] = 1;
          break;
        default:
          next[i + 1] = fresh[i + 1] = 1;
      }
    }
    if (!alive) return false;
    at.swap(next);
    skip();
  }
  return at.back() != 0;
}

absl::Status IgnoreList::Add(absl::string_view line) {
  Pattern pattern;
  line = absl::StripAsciiWhitespace(line);
  if (absl::ConsumePrefix(&line, "!")) {
    pattern.exception = true;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) {
      return absl::InvalidArgumentError(
          "a ! needs a pattern behind it, whose files it takes back");
    }
  }
  if (line.empty()) return absl::OkStatus();
  const std::string clean = Clean(line);
  // "." and "/" are the directory itself, which stays.
  if (clean.empty()) return absl::OkStatus();
  if (clean.size() > kMaxPattern) {
    return absl::InvalidArgumentError(
        absl::StrCat("a pattern is longer than ", kMaxPattern, " bytes"));
  }
  if (patterns_.size() >= kMaxPatterns) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are more than ", kMaxPatterns, " patterns"));
  }
  absl::StatusOr<std::vector<Token>> tokens = Compile(clean);
  if (!tokens.ok()) {
    return Annotate(tokens.status(), absl::StrCat("pattern \"", line, "\""));
  }
  pattern.tokens = *std::move(tokens);
  has_exceptions_ = has_exceptions_ || pattern.exception;
  patterns_.push_back(std::move(pattern));
  return absl::OkStatus();
}

absl::StatusOr<IgnoreList> IgnoreList::Parse(absl::string_view text,
                                             absl::string_view name) {
  IgnoreList result;
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (!line.empty() && line[0] == '#') continue;
    RETURN_IF_ERROR_CTX(result.Add(line), absl::StrCat(name, ":", number));
  }
  return result;
}

absl::StatusOr<IgnoreList> IgnoreList::FromPatterns(
    const std::vector<std::string>& patterns) {
  IgnoreList result;
  for (const std::string& pattern : patterns) {
    RETURN_IF_ERROR(result.Add(pattern));
  }
  return result;
}

bool IgnoreList::Ignores(absl::string_view path) const {
  if (path.empty() || patterns_.empty()) return false;
  const std::vector<char32_t> text = Decode(path);
  bool ignored = false;
  for (const Pattern& pattern : patterns_) {
    if (ignored != pattern.exception) continue;  // it would change nothing
    if (MatchesOrAbove(pattern, text)) ignored = !pattern.exception;
  }
  return ignored;
}

std::vector<std::string> IgnoreFilesOf(absl::string_view dockerfile) {
  return {absl::StrCat(dockerfile, ".dockerignore"), ".dockerignore"};
}

std::vector<std::string> AlwaysSent(absl::string_view dockerfile) {
  std::vector<std::string> result = IgnoreFilesOf(dockerfile);
  result.insert(result.begin(), std::string(dockerfile));
  return result;
}

}  // namespace bulwark
