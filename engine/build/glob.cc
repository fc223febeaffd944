#include "engine/build/glob.h"

#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bulwark::engine::build {
namespace {

// Matches one "[…]" that begins at pattern[*i]; moves *i behind it. A class
// that does not end is an ordinary "[".
bool MatchClass(absl::string_view pattern, size_t* i, char c) {
  size_t j = *i + 1;
  bool negated = j < pattern.size() && pattern[j] == '^';
  if (negated) ++j;
  bool matched = false;
  bool first = true;
  for (; j < pattern.size() && (first || pattern[j] != ']'); first = false) {
    char low = pattern[j];
    if (low == '\\' && j + 1 < pattern.size()) low = pattern[++j];
    char high = low;
    if (j + 2 < pattern.size() && pattern[j + 1] == '-' &&
        pattern[j + 2] != ']') {
      high = pattern[j + 2];
      j += 2;
    }
    matched = matched || (low <= c && c <= high);
    ++j;
  }
  if (j >= pattern.size()) {
    ++*i;
    return c == '[';
  }
  *i = j + 1;
  return matched != negated;
}

// One component, with the usual backtracking to the last star only.
bool MatchComponent(absl::string_view pattern, absl::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = absl::string_view::npos;
  size_t star_n = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_n = n;
      continue;
    }
    bool matched = false;
    size_t next = p;
    if (p < pattern.size()) {
      if (pattern[p] == '?') {
        matched = true;
        ++next;
      } else if (pattern[p] == '[') {
        matched = MatchClass(pattern, &next, name[n]);
      } else {
        if (pattern[p] == '\\' && p + 1 < pattern.size()) ++next;
        matched = pattern[next] == name[n];
        ++next;
      }
    }
    if (matched) {
      p = next;
      ++n;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      n = ++star_n;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

using Parts = std::vector<absl::string_view>;

// reachable[j]: the patterns so far match the first j components.
bool MatchParts(const Parts& patterns, const Parts& parts) {
  std::vector<bool> reachable(parts.size() + 1, false);
  reachable[0] = true;
  for (absl::string_view pattern : patterns) {
    std::vector<bool> next(parts.size() + 1, false);
    if (pattern == "**") {
      bool any = false;
      for (size_t j = 0; j <= parts.size(); ++j) {
        any = any || reachable[j];
        next[j] = any;
      }
    } else {
      for (size_t j = 0; j < parts.size(); ++j) {
        next[j + 1] = reachable[j] && MatchComponent(pattern, parts[j]);
      }
    }
    reachable = std::move(next);
  }
  return reachable[parts.size()];
}

}  // namespace

bool GlobMatch(absl::string_view pattern, absl::string_view path) {
  return MatchParts(absl::StrSplit(pattern, '/'), absl::StrSplit(path, '/'));
}

bool IsGlob(absl::string_view text) {
  return text.find_first_of("*?[\\") != absl::string_view::npos;
}

std::string CleanRelative(absl::string_view path) {
  Parts parts;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

}  // namespace bulwark::engine::build
