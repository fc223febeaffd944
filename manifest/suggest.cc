#include "manifest/suggest.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"

namespace bulwark::manifest {
namespace {

constexpr size_t kLongest = 64;

std::string Simplify(absl::string_view word) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(word, {{"-", ""}, {"_", ""}}));
}

}  // namespace

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string Nearest(absl::string_view word,
                    const std::vector<std::string>& candidates) {
  if (word.size() > kLongest) return "";
  const std::string simple = Simplify(word);
  const int allowed = std::max<int>(1, static_cast<int>(simple.size()) / 3);
  int best = allowed + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(simple, Simplify(candidate));
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace bulwark::manifest
