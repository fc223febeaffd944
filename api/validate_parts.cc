#include "api/validate_parts.h"

#include "absl/strings/str_cat.h"
#include "api/rules.h"
#include "base/signals.h"

namespace bulwark::api {

bool IsSignal(absl::string_view text) {
  return text.empty() || ParseSignal(text).has_value();
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
