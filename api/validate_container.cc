// The rules of one container.
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validation.h"
#include "base/capabilities.h"

namespace bulwark::api {
namespace {

using Container = v1::Container;
using Probe = v1::Probe;
using VolumeMount = v1::VolumeMount;

constexpr int64_t kMinMemory = int64_t{4} << 20;
// The kernel's smallest quota is 1 ms in its usual period of 100 ms.
constexpr int64_t kMinMillicores = 10;
constexpr int kMaxPids = 4194304;  // PID_MAX_LIMIT

bool HasNoNul(absl::string_view text) {
  return text.find('\0') == absl::string_view::npos;
}

// "name", "uid", each with ":group": what a passwd file can hold.
bool IsUser(absl::string_view user) {
  if (user.empty()) return true;
  if (user.size() > 128 || user.front() == ':' || user.back() == ':') {
    return false;
  }
  int colons = 0;
  for (const char c : user) {
    if (c == ':') ++colons;
    if (!absl::ascii_isgraph(c) || c == '/' || c == ',') return false;
  }
  return colons <= 1;
}

using Names = google::protobuf::RepeatedPtrField<std::string>;

const std::string* UnknownCapability(const Names& names) {
  for (const std::string& name : names) {
    if (!CapabilityMask(name).has_value()) return &name;
  }
  return nullptr;
}

std::string UnknownName(const Names& names) {
  const std::string* unknown = UnknownCapability(names);
  return unknown == nullptr ? "" : *unknown;
}

const Rule<Container> kContainerRules[] = {
    {"name",
     [](const Container& c) { return c.name().empty() || IsLabel(c.name()); },
     kNotLabel, kLabelRemedy, [](const Container& c) { return c.name(); }},
    {"command",
     [](const Container& c) {
       return c.command_size() == 0 || !c.command(0).empty();
     },
     "starts with an empty word", "name the program, or leave it out"},
    {"command",
     [](const Container& c) {
       for (const std::string& word : c.command()) {
         if (!HasNoNul(word)) return false;
       }
       return true;
     },
     "holds a NUL byte", "take it out"},
    {"args",
     [](const Container& c) {
       for (const std::string& word : c.args()) {
         if (!HasNoNul(word)) return false;
       }
       return true;
     },
     "holds a NUL byte", "take it out"},
    {"workingDir",
     [](const Container& c) {
       return c.working_dir().empty() || IsCleanAbsolutePath(c.working_dir());
     },
     "is not an absolute path", "start it with / and use no . or ..",
     [](const Container& c) { return c.working_dir(); }},
    {"user", [](const Container& c) { return IsUser(c.user()); },
     "is not a user", "write NAME, UID, NAME:GROUP or UID:GID",
     [](const Container& c) { return c.user(); }},
    {"capabilities.add",
     [](const Container& c) {
       return UnknownCapability(c.capabilities().add()) == nullptr;
     },
     "names no capability", "see capabilities(7), such as NET_ADMIN, or ALL",
     [](const Container& c) { return UnknownName(c.capabilities().add()); }},
    {"capabilities.drop",
     [](const Container& c) {
       return UnknownCapability(c.capabilities().drop()) == nullptr;
     },
     "names no capability", "see capabilities(7), such as CHOWN, or ALL",
     [](const Container& c) { return UnknownName(c.capabilities().drop()); }},
    {"health", [](const Container& c) { return !c.has_health(); },
     "is shorthand for readiness, which is given too", "keep one of the two"},
    {"resources.cpu.request",
     [](const Container& c) {
       const v1::Cpu& cpu = c.resources().cpu();
       return cpu.limit() <= 0 || cpu.request() <= cpu.limit();
     },
     "is above the limit", "lower the request or raise the limit"},
    {"resources.cpu.limit",
     [](const Container& c) {
       const int64_t limit = c.resources().cpu().limit();
       return limit <= 0 || limit >= kMinMillicores;
     },
     "is below 10m", "allow at least 10m"},
    {"resources.memory.request",
     [](const Container& c) {
       const v1::Memory& memory = c.resources().memory();
       return memory.limit() <= 0 || memory.request() <= memory.limit();
     },
     "is above the limit", "lower the request or raise the limit"},
    {"resources.memory.limit",
     [](const Container& c) {
       const int64_t limit = c.resources().memory().limit();
       return limit <= 0 || limit >= kMinMemory;
     },
     "is below 4Mi", "allow at least 4Mi"},
    {"resources.pids",
     [](const Container& c) { return c.resources().pids() <= kMaxPids; },
     "is above 4194304, the kernel's own limit", "use a lower number"},
};

const Rule<Probe> kProbeRules[] = {
    {"",
     [](const Probe& p) {
       return p.has_http() + p.has_tcp() + p.has_exec() == 1;
     },
     "needs exactly one of http, tcp, exec", "keep one of them"},
    {"http.port",
     [](const Probe& p) {
       return !p.has_http() ||
              (p.http().port() >= 1 && p.http().port() <= 65535);
     },
     "is not a port", "write the container's port, from 1 to 65535"},
    {"http.path",
     [](const Probe& p) {
       return !p.has_http() || (absl::StartsWith(p.http().path(), "/") &&
                                IsPrintable(p.http().path()) &&
                                !absl::StrContains(p.http().path(), " ") &&
                                p.http().path().size() <= 2048);
     },
     "is not the path of a URL", "start it with /, without spaces",
     [](const Probe& p) { return p.http().path(); }},
    {"tcp.port",
     [](const Probe& p) {
       return !p.has_tcp() || (p.tcp().port() >= 1 && p.tcp().port() <= 65535);
     },
     "is not a port", "write the container's port, from 1 to 65535"},
    {"exec.command",
     [](const Probe& p) {
       return !p.has_exec() ||
              (p.exec().command_size() > 0 && !p.exec().command(0).empty());
     },
     "is empty", "name the program"},
    {"period",
     [](const Probe& p) {
       return ToDuration(p.period()) >= absl::Milliseconds(50);
     },
     "is below 50ms", "probe less often"},
    {"timeout",
     [](const Probe& p) {
       return ToDuration(p.timeout()) >= absl::Milliseconds(1);
     },
     "is below 1ms", "give the probe some time"},
    {"success", [](const Probe& p) { return p.success() <= 1000; },
     "is above 1000", "use a lower number"},
    {"failure", [](const Probe& p) { return p.failure() <= 1000; },
     "is above 1000", "use a lower number"},
};

bool IsUnder(absl::string_view path, absl::string_view root) {
  return path == root || absl::StartsWith(path, absl::StrCat(root, "/"));
}

const Rule<VolumeMount> kMountRules[] = {
    {"",
     [](const VolumeMount& m) {
       return m.volume().empty() != m.host_path().empty();
     },
     "needs exactly one of volume, hostPath", "keep one of them"},
    {"volume",
     [](const VolumeMount& m) {
       return m.volume().empty() || IsLabel(m.volume());
     },
     kNotLabel, kLabelRemedy, [](const VolumeMount& m) { return m.volume(); }},
    {"hostPath",
     [](const VolumeMount& m) {
       return m.host_path().empty() || IsCleanAbsolutePath(m.host_path());
     },
     "is not an absolute path", "start it with / and use no . or ..",
     [](const VolumeMount& m) { return m.host_path(); }},
    {"path",
     [](const VolumeMount& m) {
       return m.path().empty() || IsCleanAbsolutePath(m.path());
     },
     "is not an absolute path", "start it with / and use no . or ..",
     [](const VolumeMount& m) { return m.path(); }},
    {"path", [](const VolumeMount& m) { return m.path() != "/"; },
     "would hide the image", "mount it on a directory below /"},
    {"path",
     [](const VolumeMount& m) {
       return !IsUnder(m.path(), "/proc") && !IsUnder(m.path(), "/sys") &&
              !IsUnder(m.path(), "/dev");
     },
     "is under /proc, /sys or /dev, which the engine makes",
     "mount it elsewhere", [](const VolumeMount& m) { return m.path(); }},
    {"perReplica",
     [](const VolumeMount& m) {
       return !m.per_replica() || m.host_path().empty();
     },
     "is for volumes, not for paths of the host", "leave it out"},
};

void ValidateProbe(bool given, const Probe& probe, ContainerRole role,
                   absl::string_view path, Report& report) {
  if (!given) return;
  if (role == ContainerRole::kInit) {
    report.Invalid(path, "an init container runs to its end: it has no probes",
                   "leave the probe out");
    return;
  }
  if (role == ContainerRole::kExecution) {
    report.Invalid(path, "a job runs to its end: it has no probes",
                   "leave the probe out; activeDeadline bounds its time");
    return;
  }
  CheckRules<Probe>(probe, kProbeRules, path, report);
}

void ValidateEnv(const Container& container, absl::string_view path,
                 Report& report) {
  std::set<std::string> names;
  for (int i = 0; i < container.env_size(); ++i) {
    const v1::EnvVar& variable = container.env(i);
    const std::string place = absl::StrCat(path, ".env[", i, "]");
    if (absl::StrContains(variable.name(), "=") || !HasNoNul(variable.name())) {
      report.Invalid(absl::StrCat(place, ".name"),
                     absl::StrCat(Quoted(variable.name()),
                                  " is not the name of a variable"),
                     "leave = and NUL out");
    }
    if (!HasNoNul(variable.value())) {
      report.Invalid(absl::StrCat(place, ".value"), "holds a NUL byte",
                     "take it out");
    }
    if (!variable.name().empty() && !names.insert(variable.name()).second) {
      report.Invalid(absl::StrCat(place, ".name"),
                     absl::StrCat(Quoted(variable.name()), " is given twice"),
                     "keep one of them");
    }
  }
}

void ValidateMounts(const Container& container, ContainerRole role,
                    absl::string_view path, std::set<std::string>& paths,
                    Report& report) {
  for (int i = 0; i < container.volumes_size(); ++i) {
    const VolumeMount& mount = container.volumes(i);
    const std::string place = absl::StrCat(path, ".volumes[", i, "]");
    CheckRules<VolumeMount>(mount, kMountRules, place, report);
    if (mount.per_replica() && role == ContainerRole::kExecution) {
      report.Invalid(absl::StrCat(place, ".perReplica"),
                     "is for services: executions of a job keep no place",
                     "leave it out");
    }
    if (!mount.path().empty() && !paths.insert(mount.path()).second) {
      report.Invalid(
          absl::StrCat(place, ".path"),
          absl::StrCat("two volumes are mounted on ", Quoted(mount.path())),
          "give each a path of its own");
    }
  }
}

}  // namespace

void ValidateContainer(const Container& container, ContainerRole role,
                       const NormalizeReference& normalize,
                       absl::string_view path, Report& report) {
  CheckRules<Container>(container, kContainerRules, path, report);
  if (!container.image().empty()) {
    const auto reference = normalize(container.image());
    if (!reference.ok()) {
      report.Invalid(absl::StrCat(path, ".image"),
                     std::string(reference.status().message()),
                     "write it like nginx:1.27 or registry:5000/app:1.4");
    }
  }
  if (container.has_pre_stop()) {
    const v1::ExecProbe& hook = container.pre_stop();
    if (role == ContainerRole::kInit) {
      report.Invalid(absl::StrCat(path, ".preStop"),
                     "an init container runs to its end: it is not stopped",
                     "leave it out");
    } else if (hook.command().empty() || hook.command(0).empty()) {
      report.Invalid(absl::StrCat(path, ".preStop.command"), "is empty",
                     "name the program and its arguments");
    }
  }
  ValidateEnv(container, path, report);
  std::set<std::string> paths;
  ValidateMounts(container, role, path, paths, report);
  ValidateGiven(container, path, paths, report);
  ValidateInputs(container, path, report);
  ValidateProbe(container.has_readiness(), container.readiness(), role,
                absl::StrCat(path, ".readiness"), report);
  ValidateProbe(container.has_liveness(), container.liveness(), role,
                absl::StrCat(path, ".liveness"), report);
  ValidateProbe(container.has_startup(), container.startup(), role,
                absl::StrCat(path, ".startup"), report);
}

}  // namespace bulwark::api
