// What the store holds.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/doctor/judge.h"

namespace bulwark::daemon {
namespace {

constexpr size_t kMostNamed = 5;

}  // namespace

void JudgeRecords(const HostFacts& facts, v1::DoctorResponse& response) {
  const std::vector<std::string>& bad = facts.unreadable_records;
  if (bad.empty()) {
    AddGood(response, "records", "all can be read");
    return;
  }
  const size_t named = std::min(bad.size(), kMostNamed);
  std::string names =
      absl::StrJoin(bad.begin(), bad.begin() + static_cast<long>(named), ", ");
  if (named < bad.size()) {
    absl::StrAppend(&names, " and ", bad.size() - named, " more");
  }
  AddBad(response, "records",
         absl::StrCat("cannot be read: ", names,
                      "; what they describe runs on as it is, and nothing is "
                      "done about it"),
         "docs/operation.md, \"A record that cannot be read\", says how to get "
         "them back");
}

}  // namespace bulwark::daemon
