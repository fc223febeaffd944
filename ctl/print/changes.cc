#include "ctl/print/changes.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/io.h"
#include "manifest/kinds.h"

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

constexpr size_t kWidth = 78;
// Of one kind and action; who wants all of them has a program read them.
constexpr size_t kMostNames = 60;

constexpr v1::ApplyResult::Action kOrder[] = {
    v1::ApplyResult::CREATED, v1::ApplyResult::CONFIGURED,
    v1::ApplyResult::DELETED, v1::ApplyResult::UNCHANGED};

using Results = google::protobuf::RepeatedPtrField<v1::ApplyResult>;

std::string ShortName(const v1::Object& object) {
  const v1::Metadata& metadata = manifest::MetadataOf(object);
  const bool plain =
      metadata.project().empty() || metadata.project() == "default";
  return absl::StrCat(plain ? "" : metadata.project(), plain ? "" : "/",
                      metadata.name());
}

// `kind` and the names, broken between names.
std::string Wrapped(absl::string_view kind,
                    const std::vector<std::string>& names) {
  std::string out(kind);
  size_t column = kind.size() + 2;
  for (size_t i = 0; i < names.size() && i < kMostNames; ++i) {
    const bool last = i + 1 == names.size();
    const std::string word = absl::StrCat(names[i], last ? "" : ",");
    if (i > 0 && column + 1 + word.size() > kWidth) {
      out += "\n   ";
      column = 3;
    }
    absl::StrAppend(&out, " ", word);
    column += 1 + word.size();
  }
  if (names.size() > kMostNames) {
    absl::StrAppend(&out, "\n    and ", names.size() - kMostNames,
                    " more; -o json has all");
  }
  return out + "\n";
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

std::string FormatResults(const Results& results, bool color) {
  std::string out;
  for (const v1::ApplyResult::Action action : kOrder) {
    std::map<std::string, std::vector<std::string>> kinds;
    for (const v1::ApplyResult& result : results) {
      const manifest::Kind* kind = manifest::KindOf(result.object());
      if (result.action() != action || kind == nullptr) continue;
      kinds[kind->api_name].push_back(ShortName(result.object()));
    }
    for (const auto& [kind, names] : kinds) {
      absl::StrAppend(&out, Mark(action, color), " ", Wrapped(kind, names));
    }
  }
  return out;
}

std::string CountResults(const Results& results) {
  constexpr absl::string_view kWords[] = {"created", "changed", "deleted",
                                          "unchanged"};
  std::vector<std::string> parts;
  for (size_t i = 0; i < std::size(kOrder); ++i) {
    const auto count = std::count_if(
        results.begin(), results.end(),
        [&](const v1::ApplyResult& r) { return r.action() == kOrder[i]; });
    if (count > 0) parts.push_back(absl::StrCat(count, " ", kWords[i]));
  }
  return parts.empty() ? "nothing" : absl::StrJoin(parts, ", ");
}

}  // namespace bulwark::ctl
