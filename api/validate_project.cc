#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/rules.h"
#include "api/validation.h"

namespace bulwark::api {
namespace {

constexpr int kMaxMembers = 1000;
constexpr size_t kMaxName = 256;

// A name, or the number of an account that there can be: the highest means
// none.
bool IsAccountName(const std::string& name) {
  const bool digits = !name.empty() &&
                      name.find_first_not_of("0123456789") == std::string::npos;
  uint32_t number = 0;
  if (digits && (!absl::SimpleAtoi(name, &number) || number == UINT32_MAX)) {
    return false;
  }
  return name.substr(0, 1) != "-" && name.size() <= kMaxName &&
         IsPrintable(name) && name.find(':') == std::string::npos &&
         name.find(',') == std::string::npos;
}

const Rule<v1::Member> kMemberRules[] = {
    {"user",
     [](const v1::Member& m) { return m.user().empty() != m.group().empty(); },
     "either a user or a group is needed", "write {user: alice, role: viewer}"},
    {"user", [](const v1::Member& m) { return IsAccountName(m.user()); },
     "is not a user", "write its name, or its number",
     [](const v1::Member& m) { return m.user(); }},
    {"group", [](const v1::Member& m) { return IsAccountName(m.group()); },
     "is not a group", "write its name, or its number",
     [](const v1::Member& m) { return m.group(); }},
    {"rights",
     [](const v1::Member& m) {
       for (const int right : m.rights()) {
         if (right == 0 || !v1::Member::Right_IsValid(right)) return false;
       }
       return true;
     },
     "holds something that is no right",
     "use: exec, secrets, host-paths, privileged"},
};

}  // namespace

void ValidateProjectSpec(const v1::ProjectSpec& spec, Report& report) {
  if (spec.members_size() > kMaxMembers) {
    report.Invalid("spec.members", "has more than 1000 entries",
                   "give a role to a group");
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (int i = 0; i < spec.members_size(); ++i) {
    const v1::Member& member = spec.members(i);
    const std::string path = absl::StrCat("spec.members[", i, "]");
    CheckRules<v1::Member>(member, kMemberRules, path, report);
    if (!seen.insert({member.user(), member.group()}).second) {
      report.Invalid(
          path, absl::StrCat(member.user(), member.group(), " is listed twice"),
          "keep one of the two");
    }
  }
}

}  // namespace bulwark::api
