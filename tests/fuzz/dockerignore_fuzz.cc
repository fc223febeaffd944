// .dockerignore from anyone: the first line is a path, the others patterns.
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/ignore_list.h"
#include "tests/fuzz/input.h"

namespace bulwark {
namespace {

// Longer ones would take the plain matcher too long.
constexpr size_t kMaxPlain = 14;

// The rules once more, written for obviousness.
bool PlainMatch(absl::string_view pattern, absl::string_view path) {
  if (pattern.empty()) return path.empty();
  if (absl::ConsumePrefix(&pattern, "**")) {
    absl::ConsumePrefix(&pattern, "/");
    if (pattern.empty() || PlainMatch(pattern, path)) return true;
    for (size_t i = 0; i < path.size(); ++i) {
      if (path[i] == '/' && PlainMatch(pattern, path.substr(i + 1))) {
        return true;
      }
    }
    return false;
  }
  const char c = pattern[0];
  pattern.remove_prefix(1);
  if (c == '*') {
    for (;; path.remove_prefix(1)) {
      if (PlainMatch(pattern, path)) return true;
      if (path.empty() || path[0] == '/') return false;
    }
  }
  if (path.empty()) return false;
  if (c == '?' ? path[0] == '/' : path[0] != c) return false;
  return PlainMatch(pattern, path.substr(1));
}

// A path that is clean, so that it is taken as it stands.
bool IsPlain(absl::string_view text, bool is_pattern) {
  if (text.empty() || text.size() > kMaxPlain || text[0] == '#' ||
      text[0] == '!' || text[0] == '/' || text.back() == '/' ||
      absl::StrContains(text, "//")) {
    return false;
  }
  for (char c : text) {
    const bool name = (c >= 'a' && c <= 'z') || c == '/' || c == '#';
    if (!name && (!is_pattern || (c != '*' && c != '?'))) return false;
  }
  return true;
}

// "**name" has a meaning of its own where nothing else is special.
bool IsSuffix(absl::string_view pattern) {
  return absl::ConsumePrefix(&pattern, "**") && !pattern.empty() &&
         pattern[0] != '/' && !absl::StrContains(pattern, "*") &&
         !absl::StrContains(pattern, "?");
}

void Compare(const IgnoreList& list, absl::string_view pattern,
             absl::string_view path) {
  if (!IsPlain(pattern, true) || !IsPlain(path, false)) return;
  bool expected = false;
  for (size_t i = 0; i <= path.size() && !expected; ++i) {
    if (i < path.size() && path[i] != '/') continue;
    const absl::string_view above = path.substr(0, i);
    expected = IsSuffix(pattern) ? absl::EndsWith(above, pattern.substr(2))
                                 : PlainMatch(pattern, above);
  }
  CHECK(list.Ignores(path) == expected);
}

void Try(absl::string_view path, absl::string_view text) {
  const absl::StatusOr<IgnoreList> list = IgnoreList::Parse(text, "file");
  if (!list.ok()) {
    CHECK(list.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(absl::StartsWith(list.status().message(), "file:"));
    return;
  }
  CHECK(!list->Ignores(""));
  const bool ignored = list->Ignores(path);
  CHECK(!ignored || !list->empty());
  // What lies below is ignored, too, unless something is taken back.
  if (ignored && !list->HasExceptions()) {
    CHECK(list->Ignores(std::string(path) + "/x"));
  }
  if (!absl::StrContains(text, "\n")) Compare(*list, text, path);
}

}  // namespace
}  // namespace bulwark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\n');
  bulwark::Try(text.substr(0, end),
               end == absl::string_view::npos ? "" : text.substr(end + 1));
  return 0;
}
