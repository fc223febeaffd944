// The rules of secrets and configs as containers read them.
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/rules.h"
#include "api/validate_parts.h"
#include "api/validation.h"
#include "secrets/delivery.h"
#include "secrets/secrets.h"

namespace bulwark::api {
namespace {

constexpr int kMaxInputs = 128;  // of one container, of each kind

bool IsBelow(absl::string_view path, absl::string_view folder) {
  return absl::StartsWith(path, absl::StrCat(folder, "/"));
}

// Below /run/secrets and /run/configs there is room for files of their own
// kind, directly in them.
bool IsInPlace(absl::string_view path, absl::string_view own,
               absl::string_view other) {
  if (path == own || path == other || IsBelow(path, other)) return false;
  return !IsBelow(path, own) || secrets::IsSwappable(path);
}

bool IsUnderEngine(absl::string_view path) {
  for (const absl::string_view root : {"/proc", "/sys", "/dev"}) {
    if (path == root || IsBelow(path, root)) return true;
  }
  return false;
}

bool HasHiddenPart(absl::string_view path) {
  return absl::StrContains(path, "/..");
}

void ValidatePath(absl::string_view path, bool is_secret,
                  const std::string& place, std::set<std::string>& paths,
                  Report& report) {
  if (path.empty()) return;  // reported as required, or the name is missing
  const absl::string_view own =
      is_secret ? secrets::kSecretsDirectory : secrets::kConfigsDirectory;
  const absl::string_view other =
      is_secret ? secrets::kConfigsDirectory : secrets::kSecretsDirectory;
  if (!IsCleanAbsolutePath(path) || path == "/" || HasHiddenPart(path)) {
    report.Invalid(place,
                   absl::StrCat(Quoted(path), " is not the path of a file"),
                   "start it with / and use no . or ..");
  } else if (IsUnderEngine(path)) {
    report.Invalid(
        place,
        absl::StrCat(Quoted(path),
                     " is under /proc, /sys or /dev, which the engine makes"),
        "put it elsewhere");
  } else if (!IsInPlace(path, own, other)) {
    report.Invalid(
        place, absl::StrCat(Quoted(path), " cannot be in ", own, " or ", other),
        absl::StrCat("put it directly in ", own, ", or outside of both"));
  } else if (!paths.insert(std::string(path)).second) {
    report.Invalid(place,
                   absl::StrCat("two files have the path ", Quoted(path)),
                   "give each a path of its own");
  }
}

template <typename Mounts>
void ValidateMounts(const Mounts& mounts, bool is_secret,
                    absl::string_view path, std::set<std::string>& paths,
                    Report& report) {
  const absl::string_view field = is_secret ? ".secrets" : ".configs";
  if (mounts.size() > kMaxInputs) {
    report.Invalid(absl::StrCat(path, field), "has more than 128 entries",
                   "put more into each");
    return;
  }
  for (int i = 0; i < mounts.size(); ++i) {
    const std::string place = absl::StrCat(path, field, "[", i, "]");
    if (!mounts[i].name().empty() && !IsLabel(mounts[i].name())) {
      report.Invalid(absl::StrCat(place, ".name"),
                     absl::StrCat(Quoted(mounts[i].name()), " ", kNotLabel),
                     kLabelRemedy);
      continue;
    }
    if (mounts[i].name().empty()) continue;
    if ((mounts[i].mode() & ~0777u) != 0) {
      report.Invalid(absl::StrCat(place, ".mode"), "is not a mode of a file",
                     "write it like 0400");
    }
    ValidatePath(mounts[i].path(), is_secret, absl::StrCat(place, ".path"),
                 paths, report);
  }
}

template <typename Mounts>
void RefuseFixedPaths(const Mounts& mounts, const std::string& place,
                      Report& report) {
  for (int i = 0; i < mounts.size(); ++i) {
    if (mounts[i].path().empty() || secrets::IsSwappable(mounts[i].path())) {
      continue;
    }
    report.Invalid(
        absl::StrCat(place, "[", i, "].path"),
        absl::StrCat(Quoted(mounts[i].path()),
                     " is a mount of its own, which cannot be swapped"),
        absl::StrCat("put it directly in ", secrets::kSecretsDirectory, " or ",
                     secrets::kConfigsDirectory,
                     ", or use onChange: {action: roll}"));
  }
}

template <typename Containers>
void RefuseFixedPathsOf(const Containers& containers, absl::string_view field,
                        Report& report) {
  for (int i = 0; i < containers.size(); ++i) {
    const std::string path = absl::StrCat("spec.", field, "[", i, "]");
    RefuseFixedPaths(containers[i].secrets(), path + ".secrets", report);
    RefuseFixedPaths(containers[i].configs(), path + ".configs", report);
  }
}

}  // namespace

void ValidateConfigSpec(const v1::ConfigSpec& spec, Report& report) {
  if (spec.value().size() > secrets::kMaxValue) {
    report.Invalid("spec.value", "is larger than 500 KiB",
                   "split it, or keep it in a volume");
  }
}

void ValidateInputs(const v1::Container& container, absl::string_view path,
                    Report& report) {
  std::set<std::string> paths;
  for (const v1::VolumeMount& mount : container.volumes()) {
    paths.insert(mount.path());
  }
  ValidateMounts(container.secrets(), true, path, paths, report);
  ValidateMounts(container.configs(), false, path, paths, report);
}

void ValidateChangePolicy(const v1::ServiceSpec& spec, Report& report) {
  const v1::ChangePolicy& policy = spec.on_change();
  if (!IsSignal(policy.signal())) {
    report.Invalid("spec.onChange.signal",
                   absl::StrCat(Quoted(policy.signal()), " is not a signal"),
                   "write it like SIGHUP");
  }
  if (policy.action() != v1::ChangePolicy::SWAP) {
    if (!policy.signal().empty()) {
      report.Invalid("spec.onChange.signal",
                     "is for swapped files; a roll starts new containers",
                     "use action: swap, or leave the signal out");
    }
    return;
  }
  RefuseFixedPathsOf(spec.init_containers(), "initContainers", report);
  RefuseFixedPathsOf(spec.sidecars(), "sidecars", report);
  RefuseFixedPathsOf(spec.containers(), "containers", report);
}

}  // namespace bulwark::api
