#include "daemon/doctor/subordinate_ids.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark::daemon {

std::vector<std::string> SubordinateOverlaps(absl::string_view path,
                                             absl::string_view text,
                                             uint64_t first, uint64_t end) {
  std::vector<std::string> overlaps;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(absl::StripAsciiWhitespace(line), ':');
    uint32_t from = 0;
    uint32_t count = 0;
    if (parts.size() != 3 || parts[0].empty() || parts[0][0] == '#' ||
        !absl::SimpleAtoi(parts[1], &from) ||
        !absl::SimpleAtoi(parts[2], &count) || count == 0) {
      continue;
    }
    const uint64_t last = uint64_t{from} + count - 1;
    if (last < first || from >= end) continue;
    overlaps.push_back(
        absl::StrCat(path, " gives ", parts[0], " ", from, " to ", last));
  }
  return overlaps;
}

}  // namespace bulwark::daemon
