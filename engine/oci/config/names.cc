#include "engine/oci/config/names.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/capabilities.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

namespace bulwark::engine::oci {
namespace {

struct Name {
  const char* name;
  uint64_t value;
};
constexpr Name kRlimits[] = {{"AS", RLIMIT_AS},
                             {"CORE", RLIMIT_CORE},
                             {"CPU", RLIMIT_CPU},
                             {"DATA", RLIMIT_DATA},
                             {"FSIZE", RLIMIT_FSIZE},
                             {"LOCKS", RLIMIT_LOCKS},
                             {"MEMLOCK", RLIMIT_MEMLOCK},
                             {"MSGQUEUE", RLIMIT_MSGQUEUE},
                             {"NICE", RLIMIT_NICE},
                             {"NOFILE", RLIMIT_NOFILE},
                             {"NPROC", RLIMIT_NPROC},
                             {"RSS", RLIMIT_RSS},
                             {"RTPRIO", RLIMIT_RTPRIO},
                             {"RTTIME", RLIMIT_RTTIME},
                             {"SIGPENDING", RLIMIT_SIGPENDING},
                             {"STACK", RLIMIT_STACK}};

struct NamespaceName {
  const char* name;
  const char* file;
  uint64_t flag;
};
constexpr NamespaceName kNamespaces[] = {
    {"pid", "pid", CLONE_NEWPID},          {"network", "net", CLONE_NEWNET},
    {"mount", "mnt", CLONE_NEWNS},         {"ipc", "ipc", CLONE_NEWIPC},
    {"uts", "uts", CLONE_NEWUTS},          {"user", "user", CLONE_NEWUSER},
    {"cgroup", "cgroup", CLONE_NEWCGROUP}, {"time", "time", CLONE_NEWTIME}};

constexpr Name kPolicies[] = {{"SCHED_OTHER", 0},   {"SCHED_FIFO", 1},
                              {"SCHED_RR", 2},      {"SCHED_BATCH", 3},
                              {"SCHED_ISO", 4},     {"SCHED_IDLE", 5},
                              {"SCHED_DEADLINE", 6}};
constexpr Name kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
// As in linux/ioprio.h, which C++ cannot include: in later headers of Linux 6.1
// a parameter's name is "class".
constexpr Name kIoClasses[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr int kIoClassShift = 13;

template <size_t N>
std::optional<uint64_t> Lookup(const Name (&names)[N], absl::string_view name) {
  for (const Name& known : names) {
    if (name == known.name) return known.value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> CapabilityNumber(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "CAP_")) return std::nullopt;
  const absl::Span<const char* const> names = CapabilityTable();
  for (size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<int>(i);
  }
  return std::nullopt;
}

std::optional<int> RlimitNumber(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "RLIMIT_")) return std::nullopt;
  const std::optional<uint64_t> found = Lookup(kRlimits, name);
  if (!found.has_value()) return std::nullopt;
  return static_cast<int>(*found);
}

std::string RlimitName(int number) {
  for (const Name& known : kRlimits) {
    if (static_cast<uint64_t>(number) == known.value) {
      return absl::StrCat("RLIMIT_", known.name);
    }
  }
  return absl::StrCat("limit ", number);
}

std::optional<uint64_t> NamespaceFlag(absl::string_view name) {
  for (const NamespaceName& known : kNamespaces) {
    if (name == known.name) return known.flag;
  }
  return std::nullopt;
}

const char* NamespaceFile(uint64_t flag) {
  for (const NamespaceName& known : kNamespaces) {
    if (flag == known.flag) return known.file;
  }
  return "";
}

std::optional<uint32_t> SchedulerPolicy(absl::string_view name) {
  const std::optional<uint64_t> found = Lookup(kPolicies, name);
  if (!found.has_value()) return std::nullopt;
  return static_cast<uint32_t>(*found);
}

std::optional<uint64_t> SchedulerFlag(absl::string_view name) {
  return Lookup(kSchedulerFlags, name);
}

std::optional<int> IoPriority(absl::string_view io_class, int priority) {
  const std::optional<uint64_t> found = Lookup(kIoClasses, io_class);
  if (!found.has_value() || priority < 0 || priority > 7) return std::nullopt;
  return static_cast<int>(*found << kIoClassShift) | priority;
}

std::optional<int> SignalNumber(absl::string_view name) {
  int number = 0;
  if (absl::SimpleAtoi(name, &number)) {
    if (number < 1 || number > SIGRTMAX) return std::nullopt;
    return number;
  }
  const std::string upper = absl::AsciiStrToUpper(name);
  absl::string_view rest = upper;
  absl::ConsumePrefix(&rest, "SIG");
  // The kernel's own first one: the C library keeps two for itself.
  constexpr int kFirstRealTime = 34;
  if (absl::ConsumePrefix(&rest, "RTMIN")) {
    if (rest.empty()) return kFirstRealTime;
    if (!absl::ConsumePrefix(&rest, "+") || !absl::SimpleAtoi(rest, &number) ||
        number < 0 || kFirstRealTime + number > SIGRTMAX) {
      return std::nullopt;
    }
    return kFirstRealTime + number;
  }
  if (absl::ConsumePrefix(&rest, "RTMAX")) {
    if (rest.empty()) return SIGRTMAX;
    if (!absl::ConsumePrefix(&rest, "-") || !absl::SimpleAtoi(rest, &number) ||
        number < 0 || SIGRTMAX - number < kFirstRealTime) {
      return std::nullopt;
    }
    return SIGRTMAX - number;
  }
  for (int i = 1; i < 32; ++i) {
    const char* known = sigabbrev_np(i);
    if (known != nullptr && rest == known) return i;
  }
  return std::nullopt;
}

std::vector<std::string> CapabilityNames() {
  std::vector<std::string> names;
  for (const char* name : CapabilityTable()) {
    names.push_back(absl::StrCat("CAP_", name));
  }
  return names;
}

std::vector<std::string> NamespaceNames() {
  std::vector<std::string> names;
  for (const NamespaceName& known : kNamespaces) names.push_back(known.name);
  return names;
}

}  // namespace bulwark::engine::oci
