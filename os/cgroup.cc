#include "os/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

// Controllers of version 1 that a container joins.
constexpr const char* kControllers[] = {"cpu", "cpuacct", "memory", "pids",
                                        "blkio"};
constexpr int64_t kMaxText = 1 << 20;

absl::Status WriteText(const std::string& path, absl::string_view text) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  if (write(fd.get(), text.data(), text.size()) !=
      static_cast<ssize_t>(text.size())) {
    return ErrnoStatus("write", path);
  }
  return absl::OkStatus();
}

absl::Status MakeDir(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) {
    return errno == EEXIST ? absl::OkStatus() : ErrnoStatus("make", path);
  }
  // Whatever our umask took: a container mounts it, whose root is nobody here.
  if (chmod(path.c_str(), 0755) != 0) return ErrnoStatus("chmod", path);
  return absl::OkStatus();
}

// The number on the line "`key` N", or a file's only number for an empty key.
absl::StatusOr<int64_t> ReadNumber(const std::string& path,
                                   absl::string_view key) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxText));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!key.empty()) {
      if (line.substr(0, key.size()) != key ||
          line.substr(key.size(), 1) != " ") {
        continue;
      }
      line.remove_prefix(key.size() + 1);
    }
    int64_t value;
    if (absl::SimpleAtoi(line, &value)) return value;
  }
  return absl::DataLossError(absl::StrCat("read ", path, ": no number ", key));
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

absl::StatusOr<CgroupLayout> ParseCgroupLayout(absl::string_view mountinfo) {
  CgroupLayout layout;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    // ... path ... - type source options; see proc(5). A mount of a part of the
    // hierarchy (its root is not /) is another container's view.
    const std::vector<absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> fs = absl::StrSplit(halves[1], ' ');
    if (mount.size() < 6 || fs.size() < 3 || mount[3] != "/") continue;
    const std::string path(mount[4]);
    if (fs[0] == "cgroup2" && layout.unified.empty()) layout.unified = path;
    if (fs[0] != "cgroup") continue;
    for (absl::string_view option : absl::StrSplit(fs[2], ',')) {
      if (std::find(std::begin(kControllers), std::end(kControllers), option) !=
          std::end(kControllers)) {
        layout.v1.emplace(std::string(option), path);
      }
    }
  }
  if (layout.unified.empty()) {
    return absl::FailedPreconditionError(
        "find cgroups: the version 2 hierarchy is not mounted");
  }
  return layout;
}

bool IsInRoot(absl::string_view self_cgroup) {
  for (absl::string_view line : absl::StrSplit(self_cgroup, '\n')) {
    if (line == "0::/") return true;
  }
  return false;
}

Cgroups::Cgroups(CgroupLayout layout, std::string instance, Clock& clock)
    : layout_(std::move(layout)),
      instance_(std::move(instance)),
      clock_(clock) {}

bool Cgroups::HasV1(const std::string& controller) const {
  return layout_.v1.count(controller) > 0;
}

std::string Cgroups::V1(const std::string& controller,
                        absl::string_view name) const {
  return absl::StrCat(layout_.v1.at(controller), "/", instance_, "/", name);
}

std::vector<std::string> Cgroups::Roots() const {
  std::set<std::string> v1;
  for (const auto& [controller, path] : layout_.v1) {
    // "cpu" and "cpuacct" may be links to one mount.
    v1.insert(absl::StrCat(path, "/", instance_));
  }
  std::vector<std::string> roots = {
      absl::StrCat(layout_.unified, "/", instance_)};
  roots.insert(roots.end(), v1.begin(), v1.end());
  return roots;
}

std::string Cgroups::Leaf() const {
  return absl::StrCat(layout_.unified, "/", instance_, "-daemon");
}

// The kernel's root alone has no cgroup.type.
absl::Status Cgroups::LeaveRoot() {
  if (!layout_.v1.empty() || !Exists(layout_.unified + "/cgroup.type")) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string own,
                   ReadFile("/proc/self/cgroup", kMaxText));
  if (!IsInRoot(own)) return absl::OkStatus();
  RETURN_IF_ERROR(MakeDir(Leaf()));
  return WriteText(Leaf() + "/cgroup.procs", "0");
}

absl::Status Cgroups::Prepare() {
  RETURN_IF_ERROR(LeaveRoot());
  for (const std::string& root : Roots()) RETURN_IF_ERROR(MakeDir(root));
  // Controllers that version 1 holds, or that the kernel lacks, are refused
  // here one by one; a limit that needs one says so later.
  for (const char* controller : {"cpu", "memory", "pids", "io"}) {
    for (const std::string& directory : {layout_.unified, Roots().front()}) {
      WriteText(absl::StrCat(directory, "/cgroup.subtree_control"),
                absl::StrCat("+", controller))
          .IgnoreError();
    }
  }
  return absl::OkStatus();
}

absl::Status Cgroups::Cleanup() {
  absl::Status first;
  rmdir(Leaf().c_str());  // stays while we are in it
  for (const std::string& root : Roots()) {
    if (rmdir(root.c_str()) != 0 && errno != ENOENT) {
      first.Update(ErrnoStatus("remove", root));
    }
  }
  return first;
}

CgroupPaths Cgroups::Paths(absl::string_view name) const {
  CgroupPaths paths;
  const std::vector<std::string> roots = Roots();
  for (const std::string& root : roots) {
    const std::string path = absl::StrCat(root, "/", name);
    if (paths.unified.empty()) {
      paths.unified = path;
    } else {
      paths.v1.push_back(path);
    }
  }
  paths.oom_file = HasV1("memory") ? V1("memory", name) + "/memory.oom_control"
                                   : paths.unified + "/memory.events.local";
  return paths;
}

absl::Status Cgroups::Create(absl::string_view name,
                             const CgroupLimits& limits) {
  absl::Status status;
  for (const std::string& root : Roots()) {
    status.Update(MakeDir(absl::StrCat(root, "/", name)));
  }
  if (status.ok()) status = SetLimits(name, limits);
  if (!status.ok()) Remove(name).IgnoreError();  // the first error counts
  return status;
}

absl::StatusOr<bool> Cgroups::IsPopulated(absl::string_view name) const {
  absl::StatusOr<int64_t> populated =
      ReadNumber(Paths(name).unified + "/cgroup.events", "populated");
  if (absl::IsNotFound(populated.status())) return false;
  if (!populated.ok()) return populated.status();
  return *populated != 0;
}

absl::Status Cgroups::AwaitEmpty(const std::string& directory,
                                 absl::Duration deadline) {
  const std::string path = directory + "/cgroup.events";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", path);
  }
  for (;;) {
    // A read rearms the notification.
    char text[256];
    const ssize_t n = pread(fd.get(), text, sizeof(text), 0);
    if (n < 0 && errno == ENODEV) return absl::OkStatus();  // removed
    if (n < 0) return ErrnoStatus("read", path);
    if (absl::string_view(text, n).find("populated 0") !=
        absl::string_view::npos) {
      return absl::OkStatus();
    }
    const absl::Duration left = deadline - clock_.Steady();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          absl::StrCat("empty ", directory, ": processes are left"));
    }
    pollfd poll_fd = {fd.get(), POLLPRI, 0};
    const timespec limit = absl::ToTimespec(left);
    ppoll(&poll_fd, 1, &limit, nullptr);
  }
}

absl::Status Cgroups::Kill(absl::string_view name, absl::Duration timeout) {
  const std::string group = Paths(name).unified;
  const absl::Duration deadline = clock_.Steady() + timeout;
  if (!Exists(group)) return absl::OkStatus();
  absl::Status status = WriteText(group + "/cgroup.kill", "1");
  if (absl::IsNotFound(status) && !Exists(group)) return absl::OkStatus();
  if (!status.ok()) {
    // Before Linux 5.14: freeze, so that nothing new is born, and kill one by
    // one; a frozen process dies once it thaws.
    SetFrozen(name, true).IgnoreError();
    absl::StatusOr<std::string> procs =
        ReadFile(group + "/cgroup.procs", kMaxText);
    for (absl::string_view line :
         absl::StrSplit(procs.value_or(""), '\n', absl::SkipEmpty())) {
      int pid;
      if (absl::SimpleAtoi(line, &pid) && pid > 1) kill(pid, SIGKILL);
    }
    SetFrozen(name, false).IgnoreError();
  }
  return AwaitEmpty(group, deadline);
}

absl::Status Cgroups::SetFrozen(absl::string_view name, bool frozen) {
  return WriteText(Paths(name).unified + "/cgroup.freeze", frozen ? "1" : "0");
}

absl::StatusOr<bool> Cgroups::IsFrozen(absl::string_view name) const {
  ASSIGN_OR_RETURN(
      const int64_t frozen,
      ReadNumber(Paths(name).unified + "/cgroup.events", "frozen"));
  return frozen != 0;
}

// Groups have no files to remove, only groups below them, which a privileged
// container may have made.
absl::Status Cgroups::RemoveTree(const std::string& directory) {
  if (rmdir(directory.c_str()) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EBUSY && errno != ENOTEMPTY) {
    return ErrnoStatus("remove", directory);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDir(directory));
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat st;
    if (lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      RETURN_IF_ERROR(RemoveTree(path));
    }
  }
  if (rmdir(directory.c_str()) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return ErrnoStatus("remove", directory);
}

absl::Status Cgroups::Remove(absl::string_view name) {
  const CgroupPaths paths = Paths(name);
  // Dying processes leave their group a little after they are gone.
  const absl::Duration deadline = clock_.Steady() + absl::Seconds(2);
  std::vector<std::string> directories = paths.v1;
  directories.push_back(paths.unified);
  absl::Status first;
  for (const std::string& directory : directories) {
    absl::Status status = RemoveTree(directory);
    while (!status.ok() && clock_.Steady() < deadline) {
      if (IsPopulated(name).value_or(false)) {
        return absl::FailedPreconditionError(
            absl::StrCat("remove ", directory, ": processes are left"));
      }
      clock_.Sleep(absl::Milliseconds(1));
      status = RemoveTree(directory);
    }
    first.Update(status);
  }
  return first;
}

std::set<std::string> Cgroups::List() const {
  std::set<std::string> names;
  for (const std::string& root : Roots()) {
    for (const std::string& name :
         ListDir(root).value_or(std::vector<std::string>())) {
      struct stat st;
      const std::string path = absl::StrCat(root, "/", name);
      if (lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
        names.insert(name);
      }
    }
  }
  return names;
}

}  // namespace bulwark::os
