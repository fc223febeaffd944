#include "store/key.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::store {
namespace {

bool IsLabel(absl::string_view text, size_t min) {
  if (text.size() < min || text.size() > 64) return false;
  for (char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
      return false;
    }
  }
  return true;
}

bool IsName(absl::string_view text) {
  if (text.empty() || text.size() > 512) return false;
  for (unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

// Compares a + "/" with b + "/": negative, zero or positive.
int CompareParts(absl::string_view a, absl::string_view b) {
  const size_t common = std::min(a.size(), b.size());
  if (int c = a.substr(0, common).compare(b.substr(0, common)); c != 0) {
    return c;
  }
  if (a.size() == b.size()) return 0;
  if (a.size() < b.size()) return '/' <= b[common] ? -1 : 1;
  return '/' <= a[common] ? 1 : -1;
}

}  // namespace

bool Key::Less(const Key& a, const Key& b) {
  if (int c = CompareParts(a.kind, b.kind); c != 0) return c < 0;
  if (int c = CompareParts(a.project, b.project); c != 0) return c < 0;
  return a.name < b.name;
}

std::string Key::ToString() const {
  return absl::StrCat(kind, "/", project, "/", name);
}

absl::Status Key::Validate() const {
  absl::string_view wrong;
  if (!IsLabel(kind, 1)) {
    wrong = "the kind must be 1 to 64 of a-z, 0-9 and -";
  } else if (!IsLabel(project, 0)) {
    wrong = "the project must be at most 64 of a-z, 0-9 and -";
  } else if (!IsName(name)) {
    wrong = "the name must be 1 to 512 bytes without control characters";
  } else {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("use key \"", ToString(), "\": ", wrong));
}

absl::StatusOr<Key> Key::Parse(absl::string_view text) {
  const size_t first = text.find('/');
  const size_t second = first == absl::string_view::npos
                            ? absl::string_view::npos
                            : text.find('/', first + 1);
  if (second == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read key \"", text, "\": expected <kind>/<project>/<name>"));
  }
  Key key{std::string(text.substr(0, first)),
          std::string(text.substr(first + 1, second - first - 1)),
          std::string(text.substr(second + 1))};
  RETURN_IF_ERROR(key.Validate());
  return key;
}

bool Filter::Matches(const Key& key) const {
  return (kind.empty() || key.kind == kind) &&
         (!project.has_value() || key.project == *project) &&
         absl::StartsWith(key.name, name_prefix);
}

std::string ListPrefix(const Filter& filter) {
  if (filter.kind.empty()) return "";
  if (!filter.project.has_value()) return absl::StrCat(filter.kind, "/");
  return absl::StrCat(filter.kind, "/", *filter.project, "/",
                      filter.name_prefix);
}

}  // namespace bulwark::store
