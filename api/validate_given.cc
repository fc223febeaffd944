// The rules of what a container may be given beside its image: devices, limits,
// file systems in memory, names, settings of the kernel, a log.
#include <arpa/inet.h>

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "api/convert.h"
#include "api/rules.h"
#include "api/validate_parts.h"
#include "api/validation.h"
#include "base/kernel_names.h"

namespace bulwark::api {
namespace {

using v1::Container;
using v1::DeviceMount;
using v1::HostEntry;
using v1::Logging;
using v1::TmpfsMount;
using v1::Ulimit;

constexpr size_t kMaxHostname = 63;
constexpr size_t kMaxHostsName = 253;
constexpr size_t kMaxSysctlValue = 1024;
constexpr int64_t kMinLogSize = 64 << 10;
constexpr int kMaxLogFiles = 1000;
constexpr int kMaxOfEach = 256;

// Labels of letters, digits and inner dashes, between dots.
bool IsHostname(absl::string_view name, size_t limit) {
  if (name.empty() || name.size() > limit) return false;
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' ||
        label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-' && c != '_') return false;
    }
  }
  return true;
}

bool IsAddress(const std::string& text) {
  in6_addr address;
  return text == "host-gateway" ||
         inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool IsDeviceAccess(absl::string_view access) {
  std::set<char> seen;
  for (const char c : access) {
    if (!absl::StrContains("rwm", absl::string_view(&c, 1)) ||
        !seen.insert(c).second) {
      return false;
    }
  }
  return !access.empty();
}

// What the engine makes in every container.
bool IsMade(absl::string_view path) {
  for (const absl::string_view made :
       {"/dev", "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
        "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm",
        "/dev/mqueue", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr",
        "/dev/console"}) {
    if (path == made) return true;
  }
  return absl::StartsWith(path, "/dev/pts/") ||
         absl::StartsWith(path, "/dev/shm/") ||
         absl::StartsWith(path, "/dev/mqueue/") ||
         absl::StartsWith(path, "/dev/fd/");
}

bool IsUnder(absl::string_view path, absl::string_view root) {
  return path == root || absl::StartsWith(path, absl::StrCat(root, "/"));
}

const Rule<DeviceMount> kDeviceRules[] = {
    {"hostPath",
     [](const DeviceMount& d) {
       return d.host_path().empty() ||
              (IsCleanAbsolutePath(d.host_path()) &&
               absl::StartsWith(d.host_path(), "/dev/"));
     },
     "is not a device of the host",
     "name one below /dev, such as /dev/fuse, without . or ..",
     [](const DeviceMount& d) { return d.host_path(); }},
    {"path",
     [](const DeviceMount& d) {
       return d.path() == d.host_path() || IsCleanAbsolutePath(d.path());
     },
     "is not an absolute path", "start it with / and use no . or ..",
     [](const DeviceMount& d) { return d.path(); }},
    {"path", [](const DeviceMount& d) { return !IsMade(d.path()); },
     "is there in every container", "leave it out, or give it another path",
     [](const DeviceMount& d) { return d.path(); }},
    {"path",
     [](const DeviceMount& d) {
       return d.path() != "/" && !IsUnder(d.path(), "/proc") &&
              !IsUnder(d.path(), "/sys");
     },
     "is under /proc or /sys, which the engine makes", "put it below /dev",
     [](const DeviceMount& d) { return d.path(); }},
    {"access", [](const DeviceMount& d) { return IsDeviceAccess(d.access()); },
     "is not an access", "write some of r, w and m, such as rw",
     [](const DeviceMount& d) { return d.access(); }},
};

bool IsLimit(int64_t limit) { return limit >= -1; }

// -1 is above everything else.
uint64_t Height(int64_t limit) { return static_cast<uint64_t>(limit); }

const Rule<Ulimit> kUlimitRules[] = {
    {"soft", [](const Ulimit& u) { return IsLimit(u.soft()); }, "is below -1",
     "use 0 or more, or -1 for unlimited"},
    {"hard", [](const Ulimit& u) { return !u.has_hard() || IsLimit(u.hard()); },
     "is below -1", "use 0 or more, or -1 for unlimited"},
    {"soft",
     [](const Ulimit& u) {
       return !IsLimit(u.soft()) || !u.has_hard() || !IsLimit(u.hard()) ||
              Height(u.soft()) <= Height(u.hard());
     },
     "is above the hard limit", "lower soft or raise hard",
     [](const Ulimit& u) {
       return u.soft() == -1 ? std::string("unlimited")
                             : absl::StrCat(u.soft());
     }},
    {"hard",
     [](const Ulimit& u) {
       return u.name() != "nofile" || !u.has_hard() || u.hard() != -1;
     },
     "cannot be unlimited for nofile",
     "give a number, at most the host's fs.nr_open (usually 1048576)"},
};

const Rule<TmpfsMount> kTmpfsRules[] = {
    {"path",
     [](const TmpfsMount& t) {
       return t.path().empty() || IsCleanAbsolutePath(t.path());
     },
     "is not an absolute path", "start it with / and use no . or ..",
     [](const TmpfsMount& t) { return t.path(); }},
    {"path", [](const TmpfsMount& t) { return t.path() != "/"; },
     "would hide the image", "mount it on a directory below /"},
    {"path", [](const TmpfsMount& t) { return t.path() != "/dev/shm"; },
     "/dev/shm is in memory already", "set its size with shmSize"},
    {"path",
     [](const TmpfsMount& t) {
       return t.path() == "/dev/shm" ||
              (!IsUnder(t.path(), "/proc") && !IsUnder(t.path(), "/sys") &&
               !IsUnder(t.path(), "/dev"));
     },
     "is under /proc, /sys or /dev, which the engine makes",
     "mount it elsewhere", [](const TmpfsMount& t) { return t.path(); }},
    {"mode", [](const TmpfsMount& t) { return t.mode() <= 07777; },
     "is not a file mode", "write it like 0755"},
};

const Rule<HostEntry> kHostRules[] = {
    {"name",
     [](const HostEntry& h) {
       return h.name().empty() || IsHostname(h.name(), kMaxHostsName);
     },
     "is not the name of a host", "write it like db.example",
     [](const HostEntry& h) { return h.name(); }},
    {"address",
     [](const HostEntry& h) {
       return h.address().empty() || IsAddress(h.address());
     },
     "is not an address", "write one like 10.1.2.3 or fd00::1, or host-gateway",
     [](const HostEntry& h) { return h.address(); }},
};

const Rule<Container> kGivenRules[] = {
    {"hostname",
     [](const Container& c) {
       return c.hostname().empty() || IsHostname(c.hostname(), kMaxHostname);
     },
     "is not a host name",
     "use letters, digits and inner dashes, at most 63 characters",
     [](const Container& c) { return c.hostname(); }},
    {"log.maxSize",
     [](const Container& c) {
       return c.log().max_size() <= 0 || HasLogFiles(c.log());
     },
     "is for drivers that write files", "leave it out"},
    {"log.maxFiles",
     [](const Container& c) {
       return c.log().max_files() <= 0 || HasLogFiles(c.log());
     },
     "is for drivers that write files", "leave it out"},
    {"log.maxSize",
     [](const Container& c) {
       return c.log().max_size() <= 0 || !HasLogFiles(c.log()) ||
              c.log().max_size() >= kMinLogSize;
     },
     "is below 64Ki", "allow at least 64Ki"},
    {"log.maxFiles",
     [](const Container& c) { return c.log().max_files() <= kMaxLogFiles; },
     "is above 1000", "keep fewer files"},
};

template <typename List, typename KeyOf>
void CheckTwice(const List& list, absl::string_view path,
                absl::string_view field, KeyOf key_of, Report& report) {
  std::set<std::string> seen;
  for (int i = 0; i < list.size(); ++i) {
    const std::string key = key_of(list[i]);
    if (key.empty() || seen.insert(key).second) continue;
    report.Invalid(absl::StrCat(path, "[", i, "].", field),
                   absl::StrCat(Quoted(key), " is given twice"),
                   "keep one of them");
  }
  if (list.size() > kMaxOfEach) {
    report.Invalid(path, "has more than 256 entries", "use fewer");
  }
}

template <typename M, typename List>
void CheckMounted(const List& list, absl::Span<const Rule<M>> rules,
                  absl::string_view path, std::set<std::string>& paths,
                  Report& report) {
  for (int i = 0; i < list.size(); ++i) {
    const std::string place = absl::StrCat(path, "[", i, "]");
    CheckRules<M>(list[i], rules, place, report);
    if (list[i].path().empty() || paths.insert(list[i].path()).second) continue;
    report.Invalid(absl::StrCat(place, ".path"),
                   absl::StrCat("something else is mounted on ",
                                Quoted(list[i].path()), " too"),
                   "give each a path of its own");
  }
  if (list.size() > kMaxOfEach) {
    report.Invalid(path, "has more than 256 entries", "use fewer");
  }
}

void ValidateUlimits(const Container& container, const std::string& path,
                     Report& report) {
  for (int i = 0; i < container.ulimits_size(); ++i) {
    const Ulimit& ulimit = container.ulimits(i);
    const std::string place = absl::StrCat(path, "[", i, "]");
    CheckRules<Ulimit>(ulimit, kUlimitRules, place, report);
    if (ulimit.name().empty() || ParseRlimit(ulimit.name()).has_value()) {
      continue;
    }
    report.Invalid(absl::StrCat(place, ".name"),
                   absl::StrCat(Quoted(ulimit.name()), " is not a limit"),
                   absl::StrCat("use one of: ", RlimitNames()));
  }
  CheckTwice(
      container.ulimits(), path, "name",
      [](const Ulimit& u) { return u.name(); }, report);
}

void ValidateSysctls(const Container& container, const std::string& path,
                     Report& report) {
  for (int i = 0; i < container.sysctls_size(); ++i) {
    const v1::Sysctl& sysctl = container.sysctls(i);
    const std::string place = absl::StrCat(path, "[", i, "]");
    if (!sysctl.name().empty() && !IsNamespacedSysctl(sysctl.name())) {
      report.Invalid(
          absl::StrCat(place, ".name"),
          absl::StrCat(Quoted(sysctl.name()),
                       " is not a setting that a container has of its own"),
          absl::StrCat("allowed are settings that begin with ",
                       kNamespacedSysctls,
                       "; set others on the host, in /etc/sysctl.d"));
    }
    if (sysctl.value().empty() || sysctl.value().size() > kMaxSysctlValue ||
        !IsPrintable(absl::StrReplaceAll(sysctl.value(), {{"\t", " "}}))) {
      report.Invalid(absl::StrCat(place, ".value"),
                     "is not a line of 1 to 1024 characters",
                     "write it as for sysctl(8)");
    }
  }
  CheckTwice(
      container.sysctls(), path, "name",
      [](const v1::Sysctl& s) {
        return absl::StrReplaceAll(SysctlPath(s.name()), {{"/", "."}});
      },
      report);
}

}  // namespace

void ValidateGiven(const Container& container, absl::string_view path,
                   std::set<std::string>& paths, Report& report) {
  CheckRules<Container>(container, kGivenRules, path, report);
  CheckMounted<TmpfsMount>(container.tmpfs(), kTmpfsRules,
                           absl::StrCat(path, ".tmpfs"), paths, report);
  CheckMounted<DeviceMount>(container.devices(), kDeviceRules,
                            absl::StrCat(path, ".devices"), paths, report);
  ValidateUlimits(container, absl::StrCat(path, ".ulimits"), report);
  ValidateSysctls(container, absl::StrCat(path, ".sysctls"), report);
  const std::string hosts = absl::StrCat(path, ".extraHosts");
  for (int i = 0; i < container.extra_hosts_size(); ++i) {
    CheckRules<HostEntry>(container.extra_hosts(i), kHostRules,
                          absl::StrCat(hosts, "[", i, "]"), report);
  }
  // A name may have several addresses.
  CheckTwice(
      container.extra_hosts(), hosts, "name",
      [](const HostEntry& h) {
        return h.name().empty() ? "" : absl::StrCat(h.name(), " ", h.address());
      },
      report);
}

void SharedSysctls::Check(
    const google::protobuf::RepeatedPtrField<Container>& containers,
    absl::string_view path, Report& report) {
  for (int i = 0; i < containers.size(); ++i) {
    for (int j = 0; j < containers[i].sysctls_size(); ++j) {
      const v1::Sysctl& sysctl = containers[i].sysctls(j);
      const std::string file = SysctlPath(sysctl.name());
      if (!absl::StartsWith(file, "net/")) continue;
      const auto [it, added] =
          seen_.insert({file, {sysctl.value(), containers[i].name()}});
      const Setting& first = it->second;
      if (first.value == sysctl.value() ||
          first.container == containers[i].name()) {
        continue;
      }
      report.Invalid(
          absl::StrCat(path, "[", i, "].sysctls[", j, "].value"),
          absl::StrCat(Quoted(sysctl.name()), " is ", Quoted(first.value),
                       " in container ", first.container,
                       ", which shares the network"),
          "give both the same value, or set it in one of them only");
    }
  }
}

}  // namespace bulwark::api
