#include "api/rules.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark::api {

std::string Quoted(absl::string_view text) {
  constexpr size_t kMost = 80;
  const absl::string_view shown = text.substr(0, kMost);
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(shown),
                      shown.size() < text.size() ? "...\"" : "\"");
}

bool IsLabel(absl::string_view text) {
  if (text.empty() || text.size() > 40) return false;
  if (text.front() == '-' || text.back() == '-') return false;
  for (const char c : text) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') {
      return false;
    }
  }
  return true;
}

bool IsPrintable(absl::string_view text) {
  for (const char c : text) {
    if (absl::ascii_iscntrl(c)) return false;
  }
  return true;
}

bool IsCleanAbsolutePath(absl::string_view path) {
  if (path.empty() || path[0] != '/' || path.size() > 4095) return false;
  if (!IsPrintable(path)) return false;
  if (path == "/") return true;
  for (const absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) {
      return false;
    }
  }
  return true;
}

}  // namespace bulwark::api
