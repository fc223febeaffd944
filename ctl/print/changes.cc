#include "ctl/print/changes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/io.h"

namespace bulwark::ctl {
namespace {

constexpr int kRed = 1, kGreen = 2, kYellow = 3;

std::string Painted(absl::string_view text, int number, bool color) {
  return color ? Colored(text, number) : std::string(text);
}

std::string MarkOf(absl::string_view mark, bool color) {
  if (mark == "+") return Painted(mark, kGreen, color);
  if (mark == "-") return Painted(mark, kRed, color);
  return mark == "~" ? Painted(mark, kYellow, color) : std::string(mark);
}

std::string Values(const v1::FieldChange& change) {
  if (change.before().empty()) return change.after();
  if (change.after().empty()) return change.before();
  return absl::StrCat(change.before(), " -> ", change.after());
}

}  // namespace

std::string Mark(v1::ApplyResult::Action action, bool color) {
  switch (action) {
    case v1::ApplyResult::CREATED:
      return MarkOf("+", color);
    case v1::ApplyResult::DELETED:
      return MarkOf("-", color);
    case v1::ApplyResult::CONFIGURED:
      return MarkOf("~", color);
    default:
      return " ";
  }
}

std::string FormatChanges(const v1::ApplyResult& result, bool color) {
  // Nothing of a new object runs yet.
  const bool effects = result.action() == v1::ApplyResult::CONFIGURED;
  size_t width = 0;
  for (const v1::FieldChange& change : result.changes()) {
    width = std::max(width, change.field().size() + Values(change).size());
  }
  width = std::min<size_t>(width, 70);
  std::string out;
  for (const v1::FieldChange& change : result.changes()) {
    const absl::string_view mark = change.before().empty()  ? "+"
                                   : change.after().empty() ? "-"
                                                            : "~";
    const std::string values = Values(change);
    absl::StrAppend(&out, "    ", MarkOf(mark, color), " ", change.field(),
                    ": ", values);
    if (effects) {
      const size_t used = change.field().size() + values.size();
      absl::StrAppend(&out, std::string(used < width ? width - used : 0, ' '),
                      "   ",
                      change.effect() == v1::FieldChange::REPLACE
                          ? Painted("replace", kYellow, color)
                          : "in place");
    }
    absl::StrAppend(&out, "\n");
  }
  return out;
}

}  // namespace bulwark::ctl
