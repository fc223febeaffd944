#include "engine/build/source_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

constexpr size_t kMaxColumns = 160;
constexpr int kMaxMarked = 12;
constexpr int kAround = 1;
// Longer words are nobody's slip, and the comparison is quadratic.
constexpr size_t kMaxWord = 64;

// Of text from anyone, for a terminal.
std::string Printable(absl::string_view line) {
  std::string result;
  for (char c : line.substr(0, kMaxColumns)) {
    result.push_back(c == '\t' || !absl::ascii_iscntrl(c) ? c : '?');
  }
  // Not within a character.
  if (line.size() > kMaxColumns) {
    while (!result.empty() && (result.back() & 0xc0) == 0x80) result.pop_back();
    if (!result.empty() && (result.back() & 0x80) != 0) result.pop_back();
    result.append("…");
  }
  return result;
}

// Edits (insert, delete, change, swap neighbours) between two short words.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] =
          std::min({last[j - 1] + (same ? 0 : 1), last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

void AddLine(std::string* out, int number, absl::string_view mark,
             absl::string_view line) {
  absl::StrAppend(out, absl::StrFormat("\n%5d | %3s ", number, mark),
                  Printable(line));
  out->erase(out->find_last_not_of(' ') + 1);
}

void AddCarets(std::string* out, absl::string_view line,
               absl::string_view word) {
  size_t at = word.empty() ? absl::string_view::npos : line.find(word);
  if (at == absl::string_view::npos || at + word.size() > kMaxColumns) return;
  std::string blank(line.substr(0, at));
  for (char& c : blank) c = c == '\t' ? '\t' : ' ';
  absl::StrAppend(out, "\n      |     ", blank, std::string(word.size(), '^'));
}

}  // namespace

std::string Excerpt(const SourceText& source, int first, int last,
                    absl::string_view word) {
  std::string result;
  const int count = static_cast<int>(source.lines.size());
  if (first < 1 || first > count) return result;
  last = std::clamp(last, first, count);
  for (int i = std::max(1, first - kAround);
       i <= std::min(count, last + kAround); ++i) {
    const std::string& line = source.lines[i - 1];
    if (i < first || i > last) {
      AddLine(&result, i, "", line);
    } else if (i - first == kMaxMarked && last - i > 1) {
      absl::StrAppend(&result, "\n      | …");
      i = last - 1;
    } else {
      AddLine(&result, i, ">>>", line);
      if (i == first) AddCarets(&result, line, word);
    }
  }
  return result;
}

absl::Status ErrorIn(const SourceText& source, int first, int last,
                     absl::string_view why, absl::string_view word) {
  return ErrorAt(source.name, first,
                 absl::StrCat(why, Excerpt(source, first, last, word)));
}

absl::Status AnnotateIn(const absl::Status& status, const SourceText& source,
                        int first, int last, absl::string_view what) {
  if (status.ok()) return status;
  absl::Status result =
      Annotate(status, absl::StrCat(source.name, ":", first, ": ", what));
  absl::Status longer(
      result.code(),
      absl::StrCat(result.message(), Excerpt(source, first, last)));
  result.ForEachPayload(
      [&longer](absl::string_view url, const absl::Cord& payload) {
        longer.SetPayload(url, payload);
      });
  return longer;
}

absl::Status ErrorAt(absl::string_view name, int line, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", why));
}

std::string Nearest(absl::string_view word,
                    const std::vector<std::string>& known) {
  if (word.empty() || word.size() > kMaxWord) return "";
  const std::string lower = absl::AsciiStrToLower(word);
  std::string best;
  // A third of a word may be wrong, but never all of a short one.
  size_t least = word.size() <= 3 ? 2 : 3;
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxWord) continue;
    size_t distance = Distance(lower, absl::AsciiStrToLower(candidate));
    if (distance < least && distance < word.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string Suggestion(absl::string_view word,
                       const std::vector<std::string>& known) {
  std::string nearest = Nearest(word, known);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

}  // namespace bulwark::engine::build
