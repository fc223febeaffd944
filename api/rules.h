// Validation rules as rows of tables, and the texts that they share.
#ifndef API_RULES_H_
#define API_RULES_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/report.h"

namespace bulwark::api {

// One thing that must hold for a message of type M.
template <typename M>
struct Rule {
  absl::string_view path;  // below the message, as in a manifest
  bool (*holds)(const M&);
  absl::string_view message;  // what is wrong if it does not
  absl::string_view remedy;
  // The value to quote before `message`; null: none.
  std::string (*value)(const M&) = nullptr;
};

inline std::string JoinPath(absl::string_view parent, absl::string_view child) {
  if (parent.empty()) return std::string(child);
  if (child.empty()) return std::string(parent);
  return absl::StrCat(parent, ".", child);
}

// `text` in quotes, shortened.
std::string Quoted(absl::string_view text);

template <typename M>
void CheckRules(const M& message, absl::Span<const Rule<M>> rules,
                absl::string_view path, Report& report) {
  for (const Rule<M>& rule : rules) {
    if (rule.holds(message)) continue;
    report.Invalid(
        JoinPath(path, rule.path),
        rule.value == nullptr
            ? std::string(rule.message)
            : absl::StrCat(Quoted(rule.value(message)), " ", rule.message),
        rule.remedy);
  }
}

// [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most 40 characters.
bool IsLabel(absl::string_view text);
inline constexpr absl::string_view kNotLabel = "is not a name";
inline constexpr absl::string_view kLabelRemedy =
    "use a to z, 0 to 9 and inner dashes, at most 40 characters";

// Absolute, and without empty, "." or ".." parts.
bool IsCleanAbsolutePath(absl::string_view path);

// No byte below space, and not DEL.
bool IsPrintable(absl::string_view text);

}  // namespace bulwark::api

#endif  // API_RULES_H_
