#include "engine/oci/cgroup/cgroup_path.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::string_view kParent = "/bulwark-oci";
constexpr size_t kMaxName = 255;
constexpr size_t kMaxPath = 3000;  // with a mount in front, below PATH_MAX

absl::Status Wrong(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("read linux.cgroupsPath: \"", path, "\": ", why));
}

// systemd's letters for units, but for the backslash of its escapes, which
// stands for bytes that no name here has.
bool IsUnitWord(absl::string_view word) {
  for (const char c : word) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9');
    if (!letter && !absl::StrContains(":-_.@", c)) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> CgroupPath(absl::string_view cgroups_path,
                                       absl::string_view id) {
  std::string path;
  if (cgroups_path.empty()) {
    path = absl::StrCat(kParent, "/", id);
  } else if (cgroups_path[0] == '/') {
    path = std::string(cgroups_path);
  } else {
    path = absl::StrCat(kParent, "/", cgroups_path);
  }
  if (path.size() > kMaxPath) {
    return Wrong(path.substr(0, 80), "longer than 3000 characters");
  }
  if (absl::StrContains(path, '\0') || absl::StrContains(path, '\n')) {
    return Wrong(cgroups_path, "a control group has no such characters");
  }
  std::string clean;
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (name == ".") continue;
    if (name == "..") {
      return Wrong(cgroups_path, "\"..\" leads out of a control group");
    }
    if (name.size() > kMaxName) {
      return Wrong(cgroups_path, "a name has more than 255 characters");
    }
    absl::StrAppend(&clean, "/", name);
  }
  if (clean.empty()) {
    return Wrong(cgroups_path, "the root is not a container's own group");
  }
  return clean;
}

absl::StatusOr<std::string> SlicePath(absl::string_view slice) {
  absl::string_view stem = slice;
  if (!absl::ConsumeSuffix(&stem, ".slice") || stem.empty() ||
      !IsUnitWord(stem)) {
    return Wrong(slice, "not the name of a slice (\"system.slice\")");
  }
  if (stem == "-") return std::string();
  std::string path, prefix;
  for (absl::string_view part : absl::StrSplit(stem, '-')) {
    if (part.empty()) {
      return Wrong(slice, "not the name of a slice: \"-\" without a name");
    }
    absl::StrAppend(&prefix, prefix.empty() ? "" : "-", part);
    absl::StrAppend(&path, "/", prefix, ".slice");
  }
  return path;
}

absl::StatusOr<ScopeName> ParseScopeName(absl::string_view cgroups_path,
                                         absl::string_view id) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(cgroups_path, ':');
  if (!cgroups_path.empty() && parts.size() != 3) {
    return Wrong(cgroups_path,
                 "with --systemd-cgroup it has the form slice:prefix:name");
  }
  ScopeName scope;
  absl::string_view prefix = "bulwark-oci", name = id;
  scope.slice = "system.slice";
  if (!cgroups_path.empty()) {
    if (!parts[0].empty()) scope.slice = std::string(parts[0]);
    prefix = parts[1];
    if (!parts[2].empty()) name = parts[2];
  }
  if (!IsUnitWord(prefix) || !IsUnitWord(name) || name.empty()) {
    return Wrong(cgroups_path, "not the name of a unit");
  }
  ASSIGN_OR_RETURN(const std::string parent, SlicePath(scope.slice));
  scope.unit = absl::StrCat(prefix, prefix.empty() ? "" : "-", name, ".scope");
  if (scope.unit.size() > kMaxName) {
    return Wrong(cgroups_path, "a unit's name has at most 255 characters");
  }
  scope.path = absl::StrCat(parent, "/", scope.unit);
  return scope;
}

}  // namespace bulwark::engine::oci
