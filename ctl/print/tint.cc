#include "ctl/print/tint.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace bulwark::ctl {
namespace {

constexpr int kNone = 0, kRed = 1, kGreen = 2, kYellow = 3;

constexpr absl::string_view kGood[] = {"Available", "Complete",  "Ready",
                                       "Running",   "Scheduled", "current",
                                       "running",   "up"};
// Nothing is wanted of it any more, or it is history.
constexpr absl::string_view kQuiet[] = {
    "",        "-",         "(deleted)", "Ended",   "HostShutdown", "Idle",
    "Stopped", "Suspended", "completed", "created", "good",         "stopped"};
constexpr absl::string_view kBusy[] = {"BackOff",
                                       "Degraded",
                                       "Held",
                                       "NoSpace",
                                       "NotReady",
                                       "Pending",
                                       "Replaced",
                                       "ResolvingImages",
                                       "RollingOut",
                                       "WaitingForInputs",
                                       "WaitingForDependencies",
                                       "WaitsForRunning"};

template <typename Words>
bool Has(const Words& words, absl::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// The first word counts: "up 5m", "exited (1) 3s ago".
int OfState(absl::string_view cell) {
  const absl::string_view word = cell.substr(0, cell.find(' '));
  if (Has(kGood, word)) return kGreen;
  if (Has(kQuiet, word)) return kNone;
  // "starting", "Progressing", "Restoring".
  if (Has(kBusy, word) || absl::EndsWith(word, "ing")) return kYellow;
  if (absl::StartsWith(cell, "exited (0)")) return kNone;
  return kRed;
}

// "2/3".
int OfCount(absl::string_view cell) {
  const std::vector<absl::string_view> parts = absl::StrSplit(cell, '/');
  int ready = 0, wanted = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &ready) ||
      !absl::SimpleAtoi(parts[1], &wanted)) {
    return kNone;
  }
  if (ready >= wanted) return wanted == 0 ? kNone : kGreen;
  return ready == 0 ? kRed : kYellow;
}

// Of what has ended, readiness says nothing.
int OfReady(const std::vector<std::string>& header,
            const std::vector<std::string>& row, absl::string_view cell) {
  if (cell != "yes" && cell != "no") return OfCount(cell);
  for (size_t i = 0; i < header.size() && i < row.size(); ++i) {
    if (header[i] == "STATE" && OfState(row[i]) != kGreen) return kNone;
  }
  return cell == "yes" ? kGreen : kYellow;
}

}  // namespace

int TintOf(const std::vector<std::string>& header,
           const std::vector<std::string>& row, size_t column) {
  if (column >= header.size() || column >= row.size()) return kNone;
  const std::string& name = header[column];
  const std::string& cell = row[column];
  if (name == "STATE" || name == "STATUS") return OfState(cell);
  if (name == "READY") return OfReady(header, row, cell);
  if (name == "TYPE") return cell == "warning" ? kYellow : kNone;
  return kNone;
}

}  // namespace bulwark::ctl
