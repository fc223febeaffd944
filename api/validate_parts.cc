#include "api/validate_parts.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/rules.h"

namespace bulwark::api {

bool IsSignal(absl::string_view text) {
  static constexpr absl::string_view kNames[] = {
      "HUP",  "INT",    "QUIT", "ILL",   "TRAP", "ABRT", "BUS",  "FPE",
      "KILL", "USR1",   "SEGV", "USR2",  "PIPE", "ALRM", "TERM", "STKFLT",
      "CHLD", "CONT",   "STOP", "TSTP",  "TTIN", "TTOU", "URG",  "XCPU",
      "XFSZ", "VTALRM", "PROF", "WINCH", "IO",   "PWR",  "SYS",  "POLL"};
  if (text.empty()) return true;
  int number = 0;
  if (absl::ascii_isdigit(text[0])) {
    return absl::SimpleAtoi(text, &number) && number >= 1 && number <= 64;
  }
  absl::ConsumePrefix(&text, "SIG");
  for (const absl::string_view name : kNames) {
    if (text == name) return true;
  }
  if (text == "RTMIN" || text == "RTMAX") return true;
  const bool from_least = absl::ConsumePrefix(&text, "RTMIN+");
  if (!from_least && !absl::ConsumePrefix(&text, "RTMAX-")) return false;
  return absl::SimpleAtoi(text, &number) && number >= 0 && number <= 30;
}

void ValidateContainers(
    const google::protobuf::RepeatedPtrField<v1::Container>& containers,
    ContainerRole role, absl::string_view path,
    const NormalizeReference& normalize, std::set<std::string>& names,
    Report& report) {
  for (int i = 0; i < containers.size(); ++i) {
    const v1::Container& container = containers[i];
    const std::string place = absl::StrCat(path, "[", i, "]");
    ValidateContainer(container, role, normalize, place, report);
    if (!container.name().empty() && !names.insert(container.name()).second) {
      report.Invalid(
          absl::StrCat(place, ".name"),
          absl::StrCat("two containers are named ", Quoted(container.name())),
          "name each container; the default is the object's name");
    }
  }
}

void ValidateDependencies(
    const google::protobuf::RepeatedPtrField<v1::Dependency>& dependencies,
    absl::string_view path, Report& report) {
  std::set<std::string> names;
  for (int i = 0; i < dependencies.size(); ++i) {
    const std::string& name = dependencies[i].service();
    if (!name.empty() && !names.insert(name).second) {
      report.Invalid(absl::StrCat(path, ".dependsOn[", i, "].service"),
                     absl::StrCat(Quoted(name), " is given twice"),
                     "keep one of them");
    }
  }
}

}  // namespace bulwark::api
