#include "ctl/references.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bulwark::ctl {

std::string FullReference(absl::string_view reference) {
  std::string full(reference);
  const size_t slash = reference.find('/');
  const absl::string_view first =
      reference.substr(0, slash == absl::string_view::npos ? 0 : slash);
  const bool has_registry = absl::StrContains(first, '.') ||
                            absl::StrContains(first, ':') ||
                            first == "localhost";
  if (!has_registry) {
    full = absl::StrCat("docker.io/",
                        slash == absl::string_view::npos ? "library/" : "",
                        reference);
  }
  const size_t last = full.rfind('/');
  if (!absl::StrContains(full, '@') &&
      full.find(':', last) == std::string::npos) {
    full += ":latest";
  }
  return full;
}

std::string NameFromReference(absl::string_view reference) {
  constexpr size_t kLongest = 30;
  absl::string_view base = reference.substr(0, reference.find('@'));
  base = base.substr(base.rfind('/') + 1);
  base = base.substr(0, base.find(':'));
  std::string name;
  for (char c : base) {
    const char lower = absl::ascii_tolower(c);
    const char next = absl::ascii_isalnum(lower) ? lower : '-';
    if (next == '-' && (name.empty() || name.back() == '-')) continue;
    if (name.size() < kLongest) name.push_back(next);
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "run" : name;
}

}  // namespace bulwark::ctl
