#include "base/kernel_names.h"

#include <sys/resource.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark {
namespace {

constexpr std::pair<absl::string_view, int> kRlimits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

constexpr size_t kMaxSysctl = 200;

// Absent are the ids of the next objects: who sets those sets them for others.
constexpr absl::string_view kIpc[] = {
    "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
    "kernel/shmmni", "kernel/msgmax",         "kernel/msgmnb",
    "kernel/msgmni", "kernel/shm_rmid_forced"};

}  // namespace

std::optional<int> ParseRlimit(absl::string_view name) {
  for (const auto& [known, number] : kRlimits) {
    if (known == name) return number;
  }
  return std::nullopt;
}

std::string RlimitName(int resource) {
  for (const auto& [name, number] : kRlimits) {
    if (number == resource) return std::string(name);
  }
  return absl::StrCat(resource);
}

std::string RlimitNames() {
  std::string names;
  for (const auto& [name, number] : kRlimits) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return names;
}

std::string SysctlPath(absl::string_view name) {
  std::string path(name);
  if (absl::StrContains(path, '/')) return path;
  for (char& c : path) c = c == '.' ? '/' : c;
  return path;
}

bool IsNamespacedSysctl(absl::string_view name) {
  if (name.size() > kMaxSysctl) return false;
  const std::string path = SysctlPath(name);
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
    for (const char c : part) {
      if (!absl::ascii_isalnum(c) && !absl::StrContains("_-.", c)) return false;
    }
  }
  for (const absl::string_view known : kIpc) {
    if (path == known) return true;
  }
  return absl::StartsWith(path, "net/") || absl::StartsWith(path, "fs/mqueue/");
}

}  // namespace bulwark
