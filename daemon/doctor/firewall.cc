#include "daemon/doctor/firewall.h"

#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark::daemon {
namespace {

constexpr absl::string_view kListening = "0A";

// "drop", "counter packets 3 bytes 120 reject with icmpx admin-prohibited",
// "log prefix \"x\" drop": no match stands before the verdict.
bool IsUnconditionalDrop(absl::string_view rule) {
  std::vector<absl::string_view> words =
      absl::StrSplit(rule, ' ', absl::SkipEmpty());
  size_t i = 0;
  if (i < words.size() && words[i] == "counter") {
    ++i;
    while (i + 1 < words.size() &&
           (words[i] == "packets" || words[i] == "bytes")) {
      i += 2;
    }
  }
  if (i < words.size() && words[i] == "log") {
    while (i < words.size() && words[i] != "drop" && words[i] != "reject") ++i;
  }
  return i < words.size() && (words[i] == "drop" || words[i] == "reject");
}

}  // namespace

std::vector<ChainName> ForwardChains(absl::string_view text) {
  std::vector<ChainName> found;
  ChainName now;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    std::vector<absl::string_view> words =
        absl::StrSplit(absl::StripAsciiWhitespace(line), ' ');
    if (words.size() == 4 && words[0] == "table") {
      now.table = absl::StrCat(words[1], " ", words[2]);
    } else if (words.size() == 3 && words[0] == "chain") {
      now.chain = std::string(words[1]);
    } else if (words.size() > 3 && words[0] == "type" && words[2] == "hook" &&
               words[3] == "forward") {
      found.push_back(now);
    }
  }
  return found;
}

bool DropsByDefault(absl::string_view text) {
  std::string last;
  bool policy = false;
  for (absl::string_view raw : absl::StrSplit(text, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (absl::StartsWith(line, "type ")) {
      policy = absl::StrContains(line, "policy drop");
    } else if (!line.empty() && line != "}" && !absl::EndsWith(line, "{")) {
      last = std::string(line);
    }
  }
  return policy || IsUnconditionalDrop(last);
}

std::vector<std::string> ListeningInodes(absl::string_view text, int port) {
  std::vector<std::string> inodes;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 10 || words[3] != kListening) continue;
    const size_t colon = words[1].rfind(':');
    if (colon == std::string::npos) continue;
    if (std::strtol(words[1].c_str() + colon + 1, nullptr, 16) == port) {
      inodes.push_back(words[9]);
    }
  }
  return inodes;
}

}  // namespace bulwark::daemon
