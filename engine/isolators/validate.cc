#include <sys/resource.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/capabilities.h"
#include "base/kernel_names.h"
#include "engine/isolators/isolators.h"

namespace bulwark::engine {
namespace {

// As many as an image has (image::kMaxLayers).
constexpr size_t kMaxLayers = 498;
constexpr size_t kMaxHostname = 64;

absl::Status Invalid(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

bool HasNul(absl::string_view s) {
  return s.find('\0') != absl::string_view::npos;
}

// Absolute, and no "..": what is meant must be plain to see.
absl::Status CheckPath(absl::string_view field, absl::string_view path) {
  if (path.empty() || path[0] != '/') {
    return Invalid(field, absl::StrCat("\"", path, "\" is not absolute"));
  }
  if (HasNul(path)) return Invalid(field, "holds a NUL byte");
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return Invalid(field, "\"..\" is not allowed");
  }
  return absl::OkStatus();
}

absl::Status CheckId(absl::string_view id) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  bool valid = !id.empty() && id.size() <= 64 && good(id[0]);
  for (char c : id) {
    valid = valid && (good(c) || c == '.' || c == '_' || c == '-');
  }
  return valid ? absl::OkStatus()
               : Invalid("id",
                         absl::StrCat("\"", id,
                                      "\" is not [a-z0-9][a-z0-9._-]*, at most "
                                      "64 characters"));
}

// A text of one line of /etc/hosts or /etc/resolv.conf.
absl::Status CheckWord(absl::string_view field, absl::string_view word) {
  for (char c : word) {
    if (c <= ' ' || c == '#' || c == 127) {
      return Invalid(field, "holds a space or control character");
    }
  }
  return word.empty() ? Invalid(field, "is empty") : absl::OkStatus();
}

absl::Status CheckGiven(const ContainerSpec& spec) {
  absl::Status status;
  for (const DeviceMount& device : spec.devices) {
    status.Update(CheckPath("devices.host_path", device.host_path));
    status.Update(CheckPath("devices.path", device.path));
    if (device.path == "/") {
      status.Update(Invalid("devices.path", "must not be /"));
    }
    if (device.access.empty() ||
        device.access.find_first_not_of("rwm") != std::string::npos) {
      status.Update(Invalid("devices.access", "is not of r, w and m"));
    }
  }
  for (const Ulimit& ulimit : spec.ulimits) {
    if (ulimit.resource < 0 || ulimit.resource >= RLIM_NLIMITS) {
      status.Update(Invalid("ulimits.resource", "is none"));
    }
    if (ulimit.soft > ulimit.hard) {
      status.Update(Invalid("ulimits.soft", "is above the hard limit"));
    }
  }
  for (const auto& [name, value] : spec.sysctls) {
    if (!IsNamespacedSysctl(name)) {
      status.Update(Invalid(
          "sysctls",
          absl::StrCat("\"", name, "\" is not of a namespace; allowed are ",
                       kNamespacedSysctls)));
    }
    if (value.empty() || HasNul(value)) {
      status.Update(Invalid("sysctls", absl::StrCat(name, " has no value")));
    }
  }
  if (!spec.log.name.empty()) {
    status.Update(CheckWord("log.name", spec.log.name));
  }
  if (spec.shm_bytes < 0) status.Update(Invalid("shm_bytes", "is negative"));
  return status;
}

}  // namespace

absl::Status ValidateProcess(const std::vector<std::string>& args,
                             const std::vector<std::string>& env,
                             const std::string& cwd) {
  if (args.empty() || args[0].empty()) return Invalid("args", "is empty");
  for (const std::string& arg : args) {
    if (HasNul(arg)) return Invalid("args", "holds a NUL byte");
  }
  for (const std::string& entry : env) {
    const size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos || HasNul(entry)) {
      return Invalid("env", absl::StrCat("\"", entry.substr(0, equals),
                                         "\" is not NAME=VALUE"));
    }
  }
  return cwd.empty() ? absl::OkStatus() : CheckPath("cwd", cwd);
}

absl::Status ValidateSpec(const ContainerSpec& spec) {
  absl::Status status = CheckId(spec.id);
  status.Update(ValidateProcess(spec.args, spec.env, spec.cwd));
  if (spec.layers.size() > kMaxLayers) {
    status.Update(Invalid("layers", absl::StrCat(spec.layers.size(), " of ",
                                                 kMaxLayers, " allowed")));
  }
  for (const std::string& layer : spec.layers) {
    status.Update(CheckPath("layers", layer));
  }
  if (!spec.upper_dir.empty()) {
    if (spec.await_program) {
      // Only the record leads to it, should we die in between.
      return absl::InvalidArgumentError(
          "upper_dir: not of a start that awaits its program");
    }
    status.Update(CheckPath("upper_dir", spec.upper_dir));
  }
  if (!spec.network_namespace.empty()) {
    status.Update(CheckPath("network_namespace", spec.network_namespace));
  }
  if (spec.hostname.size() > kMaxHostname) {
    status.Update(Invalid("hostname", "is longer than 64 characters"));
  }
  if (!spec.hostname.empty()) {
    status.Update(CheckWord("hostname", spec.hostname));
  }
  for (const std::string& server : spec.nameservers) {
    status.Update(CheckWord("nameservers", server));
  }
  for (const std::string& domain : spec.search_domains) {
    status.Update(CheckWord("search_domains", domain));
  }
  for (const auto& [name, address] : spec.hosts) {
    status.Update(CheckWord("hosts", name));
    status.Update(CheckWord("hosts", address));
  }
  status.Update(CheckGiven(spec));
  for (const Mount& mount : spec.mounts) {
    if (mount.kind == Mount::Kind::kBind) {
      status.Update(CheckPath("mounts.source", mount.source));
    }
    status.Update(CheckPath("mounts.destination", mount.destination));
    if (mount.destination == "/") {
      status.Update(Invalid("mounts.destination", "must not be /"));
    }
  }
  const IdRange& ids = spec.ids;
  if (ids.size != 0 &&
      (ids.first == 0 || uint64_t{ids.first} + ids.size > 0xffffffff)) {
    status.Update(Invalid("ids",
                          "the range holds the host's root, or ends "
                          "after the last id"));
  }
  if (ids.size != 0 && spec.profile == SecurityProfile::kPrivileged) {
    status.Update(Invalid("ids", "a privileged container has the host's"));
  }
  for (const auto* names : {&spec.add_capabilities, &spec.drop_capabilities}) {
    for (const std::string& name : *names) {
      if (CapabilityMask(name).has_value()) continue;
      status.Update(
          Invalid("capabilities", absl::StrCat("\"", name, "\" is none")));
    }
  }
  const Resources& r = spec.resources;
  if (r.cpu_limit_millicores < 0 || r.cpu_request_millicores < 0 ||
      r.memory_limit_bytes < 0 || r.pids_limit < 0) {
    status.Update(Invalid("resources", "a limit is negative"));
  }
  return status;
}

}  // namespace bulwark::engine
