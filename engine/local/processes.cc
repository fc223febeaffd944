#include "engine/local/processes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

constexpr int64_t kMaxText = 1 << 20;
constexpr int kMaxDepth = 16;  // of groups below the container's
constexpr size_t kMaxProcesses = 65536;
constexpr uint32_t kNobody = 65534;

void CollectPids(const std::string& group, int depth, std::vector<int>& pids) {
  const absl::StatusOr<std::string> text =
      os::ReadFile(group + "/cgroup.procs", kMaxText);
  if (!text.ok()) return;
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    int pid;
    if (pids.size() < kMaxProcesses && absl::SimpleAtoi(line, &pid) &&
        pid > 0) {
      pids.push_back(pid);
    }
  }
  if (depth == 0) return;
  const auto names = os::ListDir(group);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    struct stat st;
    const std::string path = absl::StrCat(group, "/", name);
    if (lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      CollectPids(path, depth - 1, pids);
    }
  }
}

absl::Time BootTime() {
  timespec up{}, now{};
  clock_gettime(CLOCK_BOOTTIME, &up);
  clock_gettime(CLOCK_REALTIME, &now);
  return absl::TimeFromTimespec(now) - absl::DurationFromTimespec(up);
}

// The fields after the name, which may hold anything.
bool ReadStat(const std::string& text, ContainerProcess& process) {
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return false;
  const std::vector<std::string> fields =
      absl::StrSplit(absl::StripLeadingAsciiWhitespace(
                         absl::string_view(text).substr(end + 1)),
                     ' ');
  // Counted from field 3, the state.
  constexpr size_t kParent = 1, kUser = 11, kSystem = 12, kStart = 19;
  constexpr size_t kResident = 21;
  if (fields.size() <= kResident || fields[0].empty()) return false;
  int64_t user = 0, system = 0, start = 0, resident = 0;
  if (!absl::SimpleAtoi(fields[kParent], &process.parent_pid) ||
      !absl::SimpleAtoi(fields[kUser], &user) ||
      !absl::SimpleAtoi(fields[kSystem], &system) ||
      !absl::SimpleAtoi(fields[kStart], &start) ||
      !absl::SimpleAtoi(fields[kResident], &resident)) {
    return false;
  }
  static const int64_t kTicks = sysconf(_SC_CLK_TCK);
  static const int64_t kPage = sysconf(_SC_PAGESIZE);
  process.state = fields[0][0];
  process.cpu = absl::Seconds(user + system) / kTicks;
  process.memory_bytes = resident * kPage;
  process.start_time = BootTime() + absl::Seconds(start) / kTicks;
  return true;
}

// "Uid:" and the last number of "NSpid:".
void ReadStatus(const std::string& text, const std::vector<IdExtent>& map,
                ContainerProcess& process) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "Uid:")) {
      const std::vector<std::string> ids =
          absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
      uint32_t uid;
      if (ids.size() > 1 && absl::SimpleAtoi(ids[1], &uid)) {
        process.uid = ToInside(map, uid);
      }
    } else if (absl::ConsumePrefix(&line, "NSpid:")) {
      const std::vector<std::string> pids =
          absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
      if (pids.size() > 1 &&
          !absl::SimpleAtoi(pids.back(), &process.container_pid)) {
        process.container_pid = 0;
      }
    }
  }
}

std::optional<ContainerProcess> ReadOne(int pid,
                                        const std::vector<IdExtent>& map) {
  const std::string base = absl::StrCat("/proc/", pid);
  const absl::StatusOr<std::string> stat =
      os::ReadFile(base + "/stat", kMaxText);
  const absl::StatusOr<std::string> status =
      os::ReadFile(base + "/status", kMaxText);
  ContainerProcess process;
  process.pid = pid;
  if (!stat.ok() || !status.ok() || !ReadStat(*stat, process)) {
    return std::nullopt;
  }
  ReadStatus(*status, map, process);
  std::string command = os::ReadFile(base + "/cmdline", kMaxText).value_or("");
  while (!command.empty() && command.back() == '\0') command.pop_back();
  if (!command.empty()) {
    process.command = absl::StrSplit(command, '\0');
  } else if (const size_t begin = stat->find('('); begin != std::string::npos) {
    // Of a zombie or thread of the kernel only the name.
    process.command = {absl::StrCat(
        "[", stat->substr(begin + 1, stat->rfind(')') - begin - 1), "]")};
  }
  return process;
}

// Names by user id, from the container's /etc/passwd.
std::map<uint32_t, std::string> ReadUsers(int init) {
  std::map<uint32_t, std::string> users;
  const UniqueFd root(open(absl::StrCat("/proc/", init, "/root").c_str(),
                           O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return users;
  // A pipe of that name must not hold us.
  const absl::StatusOr<UniqueFd> file =
      os::OpenInRoot(root.get(), "/etc/passwd", O_RDONLY | O_NONBLOCK);
  struct stat st;
  if (!file.ok() || fstat(file->get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return users;
  }
  const std::string text =
      os::ReadFd(file->get(), "passwd", kMaxText).value_or("");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, ':');
    uint32_t uid;
    if (fields.size() > 2 && absl::SimpleAtoi(fields[2], &uid)) {
      users.try_emplace(uid, fields[0]);
    }
  }
  return users;
}

}  // namespace

std::vector<IdExtent> ParseIdMap(absl::string_view text) {
  std::vector<IdExtent> map;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::ByAnyChar("\t "), absl::SkipEmpty());
    IdExtent extent;
    if (fields.size() == 3 && absl::SimpleAtoi(fields[0], &extent.inside) &&
        absl::SimpleAtoi(fields[1], &extent.outside) &&
        absl::SimpleAtoi(fields[2], &extent.count)) {
      map.push_back(extent);
    }
  }
  return map;
}

uint32_t ToInside(const std::vector<IdExtent>& map, uint32_t outside) {
  for (const IdExtent& e : map) {
    if (outside >= e.outside && outside - e.outside < e.count) {
      return e.inside + (outside - e.outside);
    }
  }
  return kNobody;
}

uint32_t ToOutside(const std::vector<IdExtent>& map, uint32_t inside) {
  for (const IdExtent& e : map) {
    if (inside >= e.inside && inside - e.inside < e.count) {
      return e.outside + (inside - e.inside);
    }
  }
  return kNobody;
}

absl::StatusOr<std::vector<ContainerProcess>> ReadProcesses(
    const std::string& group, int init) {
  const std::vector<IdExtent> map = ParseIdMap(
      os::ReadFile(absl::StrCat("/proc/", init, "/uid_map"), kMaxText)
          .value_or(""));
  std::vector<int> pids;
  CollectPids(group, kMaxDepth, pids);
  std::stable_partition(pids.begin(), pids.end(),
                        [init](int pid) { return pid == init; });
  const std::map<uint32_t, std::string> users = ReadUsers(init);
  std::vector<ContainerProcess> processes;
  for (const int pid : pids) {
    std::optional<ContainerProcess> process = ReadOne(pid, map);
    if (!process.has_value()) continue;
    const auto user = users.find(process->uid);
    if (user != users.end()) process->user = user->second;
    processes.push_back(*std::move(process));
  }
  return processes;
}

}  // namespace bulwark::engine
