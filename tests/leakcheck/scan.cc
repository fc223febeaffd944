// Cgroups, processes, mounts, loop devices.
#include "tests/leakcheck/scan.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::leakcheck {
namespace {

// A file of /proc or /sys, or "" if it went away meanwhile.
std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string ReadLink(const std::string& path) {
  char buffer[PATH_MAX];
  ssize_t n = readlink(path.c_str(), buffer, sizeof(buffer));
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

// Names in a directory; none if it went away.
std::vector<std::string> List(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  std::vector<std::string> names;
  while (dirent* entry = dir == nullptr ? nullptr : readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  return names;
}

struct Mount {
  std::string root, point, type, source, options;
};

// proc(5), /proc/PID/mountinfo; octal escapes undone.
absl::StatusOr<std::vector<Mount>> ReadMounts() {
  std::string text = Read("/proc/self/mountinfo");
  if (text.empty()) return absl::UnavailableError("read mountinfo: empty");
  std::vector<Mount> mounts;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    std::vector<std::string> halves = absl::StrSplit(line, " - ");
    if (halves.size() != 2) continue;
    std::vector<std::string> left = absl::StrSplit(halves[0], ' ');
    std::vector<std::string> right = absl::StrSplit(halves[1], ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    auto plain = [](const std::string& s) {
      return absl::StrReplaceAll(
          s,
          {{"\\040", " "}, {"\\011", "\t"}, {"\\012", "\n"}, {"\\134", "\\"}});
    };
    mounts.push_back({plain(left[3]), plain(left[4]), right[0], plain(right[1]),
                      plain(right[2])});
  }
  return mounts;
}

bool Mentions(const Options& options, absl::string_view path) {
  return IsBelow(path, options.runtime_dir) || IsBelow(path, options.state_dir);
}

// An argument such as "/run/x", "--root=/run/x" or "lowerdir=/a:/run/x".
bool MentionsSomewhere(const Options& options, absl::string_view text) {
  for (absl::string_view part :
       absl::StrSplit(text, absl::ByAnyChar("=:, \n"))) {
    if (Mentions(options, part)) return true;
  }
  return false;
}

void WalkCgroups(const std::string& directory, bool inside,
                 const Options& options, std::vector<Item>* items) {
  for (const std::string& name : List(directory)) {
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) continue;
    const bool ours = inside || HasInstance(name, options.instance);
    if (ours) {
      std::string pids = Read(path + "/cgroup.procs");
      items->push_back(
          {"cgroup", path,
           absl::StrCat("processes: ",
                        std::count(pids.begin(), pids.end(), '\n'))});
    }
    WalkCgroups(path, ours, options, items);
  }
}

// Fields of /proc/PID/stat from the third on: those behind the command's name,
// which may hold anything.
std::vector<std::string> StatFields(int pid) {
  std::string stat = Read(absl::StrCat("/proc/", pid, "/stat"));
  size_t end = stat.rfind(')');
  if (end == std::string::npos) return {};
  return absl::StrSplit(stat.substr(end + 1), ' ', absl::SkipEmpty());
}

// This process and those that started it: a shell that runs the check names
// the instance as well.
std::set<int> Callers() {
  std::set<int> callers;
  int pid = getpid();
  while (pid > 0 && callers.insert(pid).second) {
    std::vector<std::string> fields = StatFields(pid);
    if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &pid)) break;
  }
  return callers;
}

}  // namespace

absl::Status ScanCgroups(const Options& options, std::vector<Item>* items) {
  ASSIGN_OR_RETURN(std::vector<Mount> mounts, ReadMounts());
  for (const Mount& mount : mounts) {
    if (mount.type == "cgroup" || mount.type == "cgroup2") {
      WalkCgroups(mount.point, false, options, items);
    }
  }
  // Two mounts of one tree, or one mounted twice at the same place.
  std::sort(items->begin(), items->end());
  items->erase(std::unique(items->begin(), items->end()), items->end());
  return absl::OkStatus();
}

absl::Status ScanProcesses(const Options& options, std::vector<Item>* items) {
  const std::set<int> callers = Callers();
  for (const std::string& name : List("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid) || callers.contains(pid)) continue;
    const std::string dir = "/proc/" + name;
    std::string cmdline = Read(dir + "/cmdline");
    std::vector<std::string> arguments = absl::StrSplit(cmdline, '\0');
    std::string why;
    if (HasInstance(Read(dir + "/cgroup"), options.instance)) why = "cgroup";
    if (Mentions(options, ReadLink(dir + "/exe"))) why = "executable";
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (MentionsSomewhere(options, arguments[i])) why = "argument";
      if (arguments[i] == "--instance=" + options.instance ||
          (i > 0 && arguments[i - 1] == "--instance" &&
           arguments[i] == options.instance)) {
        why = "instance";
      }
    }
    std::vector<std::string> fields = StatFields(pid);
    if (why.empty() || fields.size() < 20 || fields[0] == "Z") continue;
    std::string command = absl::StrJoin(arguments, " ").substr(0, 200);
    items->push_back({"process", absl::StrCat(pid, " started ", fields[19]),
                      absl::StrCat(why, ": ", command)});
  }
  return absl::OkStatus();
}

absl::Status ScanMounts(const Options& options, std::vector<Item>* items) {
  ASSIGN_OR_RETURN(std::vector<Mount> mounts, ReadMounts());
  std::map<std::string, int> count;
  for (const Mount& mount : mounts) {
    if (!Mentions(options, mount.point) && !Mentions(options, mount.source) &&
        !MentionsSomewhere(options, mount.options) &&
        !HasInstance(mount.source, options.instance)) {
      continue;
    }
    std::string id = absl::StrCat(mount.type, " ", mount.point);
    int n = ++count[id];
    if (n > 1) absl::StrAppend(&id, " #", n);
    items->push_back(
        {"mount", id, absl::StrCat(mount.source, " ", mount.root)});
  }
  return absl::OkStatus();
}

absl::Status ScanInputs(const Options& options, std::vector<Item>* items) {
  for (const std::string& name : List(options.runtime_dir + "/inputs")) {
    items->push_back({"input", name, "secrets or configs of a container"});
  }
  for (const std::string& name : List(options.runtime_dir + "/build-secrets")) {
    items->push_back({"build-secret", name, "secrets of a build"});
  }
  return absl::OkStatus();
}

absl::Status ScanLoopDevices(const Options& options, std::vector<Item>* items) {
  for (const std::string& name : List("/sys/block")) {
    if (!absl::StartsWith(name, "loop")) continue;
    std::string file =
        Read(absl::StrCat("/sys/block/", name, "/loop/backing_file"));
    while (!file.empty() && file.back() == '\n') file.pop_back();
    if (Mentions(options, file)) items->push_back({"loop", name, file});
  }
  return absl::OkStatus();
}

}  // namespace bulwark::leakcheck
